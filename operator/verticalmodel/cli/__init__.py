"""`vmodel`, also the kubectl plugin `kubectl-vmodel`: one file per command, loaded when it is called."""
