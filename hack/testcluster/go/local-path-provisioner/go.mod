module verticalmodel.io/hack/testcluster/local-path-provisioner

go 1.26.0
