"""`python -m torture`, with the folder of the tests on the path."""

import sys

from torture.bench import main

sys.exit(main())
