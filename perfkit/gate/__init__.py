"""A performance gate: hold scenarios to their checks, alone or against a base."""
