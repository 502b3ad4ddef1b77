package rbac

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

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
	for name, bounds := range map[string]struct {
		objects []client.Object
		head    string
	}{"authors": {authors.OfAuthors(), authorsHead}, "manager": {authors.OfManager(), managerHead}} {
		text, err := boundsYAML(bounds.head, bounds.objects)
		if err != nil {
			return nil, err
		}
		files["config/endpoints/"+name+".yaml"], files[chart+"endpoints-"+name+".yaml"] = text, text
	}
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

const (
	authorsHead = "Whoever writes an EndpointSet or a FederatedNetworkPolicy needs the rights to create and update what Hawser makes of it, " +
		"and whoever takes that away the right to delete it: nobody has an object written or removed that they could not write or remove themselves. The manager makes nothing of these objects as long as this is not in force."
	managerHead = "The manager writes and deletes only what it made, by the label that it puts on all of it: its role (rbac.yaml) cannot say that. " +
		"It makes nothing new as long as this is not in force."
)

// boundsYAML prints a policy of package authors, for kubectl apply and for the chart.
func boundsYAML(about string, objects []client.Object) ([]byte, error) {
	text, err := member.YAML(objects)
	if err != nil {
		return nil, fmt.Errorf("printing what bounds endpoints: %w", err)
	}
	var head strings.Builder
	comment(&head, strings.Replace(generated, "internal/rbac", "internal/authors", 1))
	head.WriteString("#\n")
	comment(&head, about)
	return append([]byte(head.String()), bytes.TrimPrefix(text, []byte("---\n"))...), nil
}
