"""`python -m genui` is the same as `genui`."""

import sys

from genui.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
