"""The same function under pyperf: one warm-up and four values a worker, as perfkit does it."""

import pyperf
from spin import spin

if __name__ == "__main__":
    pyperf.Runner(values=4, warmups=1, loops=1).bench_func("spin", spin)
