"""`python -m local`: the embedded AWS by hand."""

import sys

from local.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
