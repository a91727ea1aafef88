"""`python -m testcluster`: what hack/cluster runs."""

from testcluster.cli import main

raise SystemExit(main())
