module verticalmodel.io/hack/testcluster/pause

go 1.26.0
