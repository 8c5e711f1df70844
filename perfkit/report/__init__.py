"""Draw a result: one module a view, and `words`, which says the same in all of them."""
