package rbac

import (
	"path"
)

// Files returns everything that is made from the table, by its path in the repository.
func Files() (map[string][]byte, error) {
	const chart = "charts/hawser/files/rbac/"
	files := map[string][]byte{}
	for _, f := range Features() {
		files[path.Join("config", f.File)] = f.YAML()
		files[chart+f.Name+".yaml"] = f.ChartYAML()
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
