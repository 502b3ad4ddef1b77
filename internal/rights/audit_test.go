package rights_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hawser-io/hawser/fleettest"
)

// event is what we read of a line in an audit log.
type event struct {
	Cluster    string `json:"-"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"user"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
}

// readAudit reads what an API server has logged so far. It writes the line before the answer goes out.
func readAudit(t *testing.T, c *fleettest.Cluster) []event {
	t.Helper()
	file, err := os.Open(filepath.Join(c.Dir(), "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var events []event
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := event{Cluster: c.Name}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("reading the audit log of %s: %v", c.Name, err)
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil || len(events) == 0 {
		t.Fatalf("reading the audit log of %s: %d events, %v", c.Name, len(events), err)
	}
	return events
}

// refused reports whether the API server, by RBAC or by a policy, said no.
func (e event) refused() bool {
	return e.ResponseStatus.Code == http.StatusForbidden || e.Annotations["authorization.k8s.io/decision"] == "forbid"
}

var allowedBy = regexp.MustCompile(`allowed by (?:ClusterRoleBinding|RoleBinding) "([^"]+)" of (ClusterRole|Role) "([^"]+)" to`)

// role is the role that allowed it: that of a Role with its namespace before a slash. Empty where it was none.
func (e event) role() string {
	match := allowedBy.FindStringSubmatch(e.Annotations["authorization.k8s.io/reason"])
	if match == nil {
		return ""
	}
	if match[2] == "ClusterRole" {
		return match[3]
	}
	_, namespace, _ := strings.Cut(match[1], "/")
	return namespace + "/" + match[3]
}

// resource is that of the request, with its subresource; or the path, where it is none.
func (e event) resource() string {
	if e.ObjectRef.Resource == "" {
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return path
	}
	if e.ObjectRef.Subresource != "" {
		return e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
	}
	return e.ObjectRef.Resource
}

// String is the event in the words of our lists.
func (e event) String() string {
	return fmt.Sprintf("%s: %s may not %s %s", e.Cluster, e.User.Username, e.Verb, e.target())
}

func (e event) target() string {
	text := e.resource()
	if e.ObjectRef.APIGroup != "" {
		text += "." + e.ObjectRef.APIGroup
	}
	if e.ObjectRef.Name != "" {
		text += " " + e.ObjectRef.Name
	}
	if e.ObjectRef.Namespace != "" && e.ObjectRef.Resource != "namespaces" {
		text += " in " + e.ObjectRef.Namespace
	}
	return text
}
