package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

// valuesFor says, where a Helm release over there lacks what a connection needs, with which values it would have it.
func valuesFor(err error, o member.Options) error {
	var lacks *install.LacksError
	if !errors.As(err, &lacks) {
		return err
	}
	identity := string(o.Identity)
	if identity == "" {
		identity = string(member.ServiceAccount)
	}
	values := []string{"member.enabled=true", fmt.Sprintf("%s in member.localClusters", o.Local), "member.identity=" + strings.ToLower(identity[:1]) + identity[1:]}
	for _, c := range o.Capabilities {
		values = append(values, fmt.Sprintf("%s in member.capabilities", c))
	}
	for _, user := range o.Users {
		values = append(values, fmt.Sprintf("%s in member.users", user))
	}
	for _, group := range o.Groups {
		values = append(values, fmt.Sprintf("%s in member.groups", group))
	}
	if len(o.Requires) > 0 {
		values = append(values, "member.requires as in the RemoteCluster")
	}
	if o.Identity == member.ServiceAccount && o.MaxTokenLifetime > member.DefaultMaxTokenLifetime {
		values = append(values, fmt.Sprintf("member.maxTokenLifetime=%s", o.MaxTokenLifetime))
	}
	return fmt.Errorf("%w: helm upgrade it with %s, and with the chart of this version", err, strings.Join(values, ", "))
}
