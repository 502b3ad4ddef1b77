// Package dashboards lets Prometheus's own parser read each query of the Grafana dashboard and each alert of the
// chart, and holds them to the metrics that docs/operations.md lists with their labels. A test of internal/cli holds
// that list to what the programs register, so that no query asks for what nobody serves. It is a module of its own,
// so that Prometheus does not get into ours. There is nothing here but tests: go test ./...
package dashboards
