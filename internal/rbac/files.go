package rbac

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/member"
)

// Files returns everything that is made from the table, by its path in the repository.
func Files() (map[string][]byte, error) {
	const chart = "charts/hawser/files/rbac/"
	files := map[string][]byte{}
	for _, f := range Features() {
		files[path.Join("config", f.File)] = f.YAML()
		files[chart+f.Name+".yaml"] = f.ChartYAML()
	}
	bounds, err := authorsYAML()
	if err != nil {
		return nil, err
	}
	files["config/endpoints/authors.yaml"], files[chart+"endpoints-authors.yaml"] = bounds, bounds
	remote, err := remoteFiles()
	if err != nil {
		return nil, err
	}
	for name, text := range remote {
		files[chart+name+".yaml"] = text
	}
	files["docs/rbac.md"] = markdown()
	return files, nil
}

// authorsYAML prints what keeps authors of EndpointSets and FederatedNetworkPolicies within their rights, for kubectl
// apply and for the chart.
func authorsYAML() ([]byte, error) {
	text, err := member.YAML(authors.Objects())
	if err != nil {
		return nil, fmt.Errorf("printing what bounds authors: %w", err)
	}
	var head strings.Builder
	comment(&head, strings.Replace(generated, "internal/rbac", "internal/authors", 1))
	head.WriteString("#\n")
	comment(&head, "Whoever writes an EndpointSet or a FederatedNetworkPolicy needs the rights to create and update what Hawser makes of it, "+
		"and whoever takes that away the right to delete it: nobody has an object written or removed that they could not write or remove themselves. The manager makes nothing of these objects as long as this is not in force.")
	return append([]byte(head.String()), bytes.TrimPrefix(text, []byte("---\n"))...), nil
}
