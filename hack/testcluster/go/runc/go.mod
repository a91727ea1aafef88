module verticalmodel.io/hack/testcluster/runc

go 1.26.0
