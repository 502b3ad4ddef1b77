package credential

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// secrets are those of a namespace, by name, with the number of reads and of writes.
type secrets struct {
	all    map[string]*corev1.Secret
	reads  int
	writes int
}

func secretsOf(list ...*corev1.Secret) *secrets {
	s := &secrets{all: map[string]*corev1.Secret{}}
	for _, secret := range list {
		s.all[secret.Name] = secret
	}
	return s
}

func (s *secrets) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	s.reads++
	if found := s.all[name]; found != nil {
		return found.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

func (s *secrets) Create(_ context.Context, secret *corev1.Secret, _ metav1.CreateOptions) (*corev1.Secret, error) {
	s.writes++
	s.all[secret.Name] = secret.DeepCopy()
	return secret, nil
}

func (s *secrets) Update(ctx context.Context, secret *corev1.Secret, _ metav1.UpdateOptions) (*corev1.Secret, error) {
	if found := s.all[secret.Name]; found == nil || found.ResourceVersion != secret.ResourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, secret.Name, nil)
	}
	return s.Create(ctx, secret, metav1.CreateOptions{})
}

func (s *secrets) Delete(_ context.Context, name string, _ metav1.DeleteOptions) error {
	s.writes++
	delete(s.all, name)
	return nil
}

func (s *secrets) names() []string {
	var names []string
	for name := range s.all {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, "hawser-"), "-alpha"))
	}
	slices.Sort(names)
	return names
}

// collect is Kubernetes' garbage collector, which knows who is there.
func (s *secrets) collect(there ...types.UID) {
	for name, secret := range s.all {
		if len(secret.OwnerReferences) > 0 && !slices.ContainsFunc(secret.OwnerReferences, func(o metav1.OwnerReference) bool { return slices.Contains(there, o.UID) }) {
			delete(s.all, name)
		}
	}
}

func inputSecret(uid types.UID, labels map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.InputSecretName("alpha"), UID: uid, Labels: labels}}
}

// keptByEarlier is what v0.1.0 kept: the keys and the JSON are frozen here, and nobody owned it.
func keptByEarlier(state string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.CredentialSecretName("alpha"), Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RemoteClusterLabel: "alpha"}},
		Data:       map[string][]byte{"bearerToken": []byte("renewed"), "state.json": []byte(state)},
	}
}

const earlier = `{"origin":"o1","obtainedAt":"2026-01-01T00:00:00Z","issuedAt":"2026-01-01T00:00:00Z","expiresAt":"2026-01-02T00:00:00Z",
"binding":{"server":"https://alpha:6443","ca":"c0ffee","roots":["r1"]}}`

func storeIn(s *secrets) Store {
	return Store{Secrets: s, Cluster: "alpha", Owner: &metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster", Name: "alpha", UID: "rc"}}
}

func TestWhatOtherVersionsKeptIsGoneOnWith(t *testing.T) {
	cases := map[string]string{
		"an earlier one":                 earlier,
		"a later one, which says more":   strings.Replace(earlier, `{"origin"`, `{"format":7,"more":{"x":[1]},"origin"`, 1),
		"one that did not know bindings": `{"origin":"o1","obtainedAt":"2026-01-01T00:00:00Z","issuedAt":"2026-01-01T00:00:00Z","expiresAt":"2026-01-02T00:00:00Z"}`,
	}
	for name, state := range cases {
		t.Run(name, func(t *testing.T) {
			s := secretsOf(inputSecret("in", nil), keptByEarlier(state))
			store := storeIn(s)
			if err := store.Settle(t.Context(), "in"); err != nil {
				t.Fatal(err)
			}
			list, err := store.Candidates(t.Context(), NewToken("dead", "o1"))
			if err != nil || len(list) != 2 || list[0].Token.Reveal() != "renewed" || list[0].ExpiresAt != time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) {
				t.Fatalf("got %d candidates (%v), want the kept one first", len(list), err)
			}
			if strings.Contains(state, "binding") && (list[0].Binding == nil || list[0].Binding.Server != "https://alpha:6443" || list[1].Binding == nil) {
				t.Error("the server that it is bound to is forgotten")
			}
			if owners := s.all[v1alpha1.CredentialSecretName("alpha")].OwnerReferences; len(owners) != 1 || owners[0].UID != "rc" {
				t.Errorf("it belongs to %v", owners)
			}
			writes := s.writes
			if err := store.Settle(t.Context(), "in"); err != nil || s.writes != writes {
				t.Errorf("settled twice: %d writes (%v)", s.writes-writes, err)
			}
		})
	}
}

func TestTheInputIsBoundWhoeverGoesFirst(t *testing.T) {
	settled := func(t *testing.T) *secrets {
		s := secretsOf(inputSecret("in", nil), keptByEarlier(earlier))
		if err := storeIn(s).Settle(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
		return s
	}
	bound := func(t *testing.T, s *secrets) bool {
		list, err := storeIn(s).Candidates(t.Context(), NewToken("input", "o1"))
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Binding != nil && list[0].Binding.Server == "https://alpha:6443"
	}
	t.Run("the RemoteCluster is deleted while nobody runs", func(t *testing.T) {
		s := settled(t)
		s.collect("in")
		if got := s.names(); !slices.Equal(got, []string{"binding", "cluster"}) {
			t.Errorf("left are %v", got)
		}
		if !bound(t, s) {
			t.Error("the input is bound to nothing")
		}
		for key, value := range s.all[v1alpha1.BindingSecretName("alpha")].Data {
			if strings.Contains(string(value), "renewed") {
				t.Errorf("the record holds the credential in %s", key)
			}
		}
	})
	t.Run("it is deleted while a manager of this version runs", func(t *testing.T) {
		s := secretsOf(inputSecret("in", nil), keptByEarlier(earlier))
		if err := storeIn(s).Retire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.names(); !slices.Equal(got, []string{"binding", "cluster"}) || !bound(t, s) {
			t.Errorf("left are %v", got)
		}
	})
	t.Run("the input is made anew with the same content, and then the RemoteCluster deleted", func(t *testing.T) {
		s := settled(t)
		s.all[v1alpha1.InputSecretName("alpha")].UID = "in2"
		if err := storeIn(s).Settle(t.Context(), "in2"); err != nil {
			t.Fatal(err)
		}
		if s.collect("in2"); !bound(t, s) {
			t.Error("the input is bound to nothing")
		}
	})
	t.Run("both are gone", func(t *testing.T) {
		s := settled(t)
		delete(s.all, v1alpha1.InputSecretName("alpha"))
		if s.collect(); len(s.all) > 0 {
			t.Errorf("left are %v", s.names())
		}
	})
	t.Run("the input is join's", func(t *testing.T) {
		s := secretsOf(inputSecret("in", map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}), keptByEarlier(earlier))
		if err := storeIn(s).Retire(t.Context()); err != nil || !slices.Equal(s.names(), []string{"cluster"}) {
			t.Errorf("left are %v (%v)", s.names(), err)
		}
	})
}

func TestASourceReadsEachSecretOnce(t *testing.T) {
	s := secretsOf(inputSecret("in", map[string]string{v1alpha1.CredentialsLabel: "true"}), keptByEarlier(earlier))
	store := storeIn(s)
	store.Memory = &Memory{}
	look := func() Credential {
		t.Helper()
		s.reads, s.writes = 0, 0
		if _, err := store.Input(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := store.Settle(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
		list, err := store.Candidates(t.Context(), NewToken("dead", "o1"))
		if err != nil || len(list) != 2 {
			t.Fatalf("got %d candidates (%v)", len(list), err)
		}
		if err := store.Keep(t.Context(), list[0]); err != nil {
			t.Fatal(err)
		}
		if s.reads > 3 {
			t.Errorf("read %d times for three Secrets", s.reads)
		}
		return list[0]
	}
	look()
	next := look()
	if s.writes > 0 {
		t.Errorf("%d writes where nothing is new", s.writes)
	}

	// What is remembered wrongly is refused by the version that was read, and then read again.
	if _, err := store.Input(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Candidates(t.Context(), NewToken("dead", "o1")); err != nil {
		t.Fatal(err)
	}
	name := v1alpha1.CredentialSecretName("alpha")
	meanwhile := s.all[name].DeepCopy()
	meanwhile.ResourceVersion, meanwhile.Labels = "later", map[string]string{"somebody": "else"}
	s.all[name] = meanwhile
	next.ObtainedAt = next.ObtainedAt.Add(time.Hour)
	if err := store.Keep(t.Context(), next); err == nil || !strings.Contains(err.Error(), "it is not Hawser's") {
		t.Errorf("a Secret that became somebody else's meanwhile: %v", err)
	}
}

// Commands read what is kept, and leave it as it is.
func TestNothingIsWrittenForThoseWhoKeepNothing(t *testing.T) {
	s := secretsOf(inputSecret("in", nil), keptByEarlier(earlier))
	store := Store{Secrets: s, Cluster: "alpha"}
	if err := store.Settle(t.Context(), "in"); err != nil || s.writes > 0 {
		t.Errorf("%d writes (%v)", s.writes, err)
	}
}
