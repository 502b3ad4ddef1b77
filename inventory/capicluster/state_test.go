package capicluster

import "testing"

func TestOnlyKubeconfigsAreKept(t *testing.T) {
	hook := func(*Cluster) (namespace, name, key string) { return "", "", "" }
	cases := []struct {
		name      string
		inventory Inventory
		secret    string
		want      bool
	}{
		{"a kubeconfig", Inventory{}, "prod-kubeconfig", true},
		{"the key of a CA", Inventory{}, "prod-ca", false},
		{"the kubeconfig of a user", Inventory{}, "prod-user", false},
		{"by another name", Inventory{SecretName: "a-{cluster}-b"}, "a-prod-b", true},
		{"not by the old one", Inventory{SecretName: "a-{cluster}-b"}, "prod-kubeconfig", false},
		{"with the cluster in it twice", Inventory{SecretName: "{cluster}/{cluster}.conf"}, "prod/prod.conf", true},
		{"one for all of them", Inventory{SecretName: "shared"}, "shared", true},
		{"and no other", Inventory{SecretName: "shared"}, "shared-ca", false},
		{"whatever a function may name", Inventory{Secret: hook}, "prod-ca", true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.inventory.mayBeOurs(tc.secret); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}
