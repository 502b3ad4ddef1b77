package service

import (
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// TestAWatchThatIsLateDoesNotOverruleWhatWasWritten, of imports and exports alike.
func TestAWatchThatIsLateDoesNotOverruleWhatWasWritten(t *testing.T) {
	var told []Key
	l, err := NewLocal(LocalOptions{Config: &rest.Config{Host: "https://cluster.invalid"}, Changed: func(k Key) { told = append(told, k) }})
	if err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "shop", Name: "db"}
	object := func(version string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "u", ResourceVersion: version, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}}}
	}
	watched := func(version string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		u.SetNamespace(key.Namespace)
		u.SetName(key.Name)
		u.SetUID("u")
		u.SetResourceVersion(version)
		return u
	}
	for what, of := range map[string]struct {
		table *table
		wrote func(version string)
		have  func() metav1.Object // nil: none
	}{
		"import": {l.importsTable, func(version string) { l.WroteImport(&mcs.ServiceImport{ObjectMeta: object(version)}) }, func() metav1.Object {
			if im := l.Import(key.Namespace, key.Name); im != nil {
				return im
			}
			return nil
		}},
		"export": {l.exportsTable, func(version string) { l.WroteExport(&mcs.ServiceExport{ObjectMeta: object(version)}) }, func() metav1.Object {
			if e := l.Export(key.Namespace, key.Name); e != nil {
				return e
			}
			return nil
		}},
	} {
		t.Run(what, func(t *testing.T) {
			is := func(version string, times int) {
				t.Helper()
				got := ""
				if o := of.have(); o != nil {
					got = o.GetResourceVersion()
					if o.GetManagedFields() != nil {
						t.Error("it keeps what it does not need")
					}
				}
				if got != version || len(told) != times || len(told) > 0 && told[0] != (Key{Import: true, Namespace: "shop", Name: "db"}) {
					t.Errorf("it has version %q, and has told %v; want %q, and %d times", got, told, version, times)
				}
				told = nil
			}
			of.wrote("5")
			is("5", 1)
			of.table.Set(watched("4"))
			of.table.Set(watched("5"))
			is("5", 0)
			of.table.Set(watched("6"))
			is("6", 1)
			of.table.Drop(key, "an earlier one")
			if of.have() == nil {
				t.Error("it is gone with an earlier one of its name")
			}
			told = nil
			of.table.Drop(key, "u")
			is("", 1)
		})
	}
}

// TestASliceGoesWithItsOwnEndAlone, and not with that of an earlier one of its name, which a late watch tells of.
func TestASliceGoesWithItsOwnEndAlone(t *testing.T) {
	var told []Key
	l, err := NewLocal(LocalOptions{Config: &rest.Config{Host: "https://cluster.invalid"}, Changed: func(k Key) { told = append(told, k) }})
	if err != nil {
		t.Fatal(err)
	}
	key := Key{Namespace: "shop", Name: "db", Cluster: "alpha"}
	name := types.NamespacedName{Namespace: "shop", Name: sliceName(key, 0)}
	slice := func(uid types.UID, version string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: uid, ResourceVersion: version, Labels: key.labels()}}
	}
	foreign := func(uid types.UID, version string) *discoveryv1.EndpointSlice {
		s := slice(uid, version)
		s.Labels[discoveryv1.LabelManagedBy] = "somebody else"
		return s
	}
	for _, step := range []struct {
		what string
		do   func()
		want types.UID // of the slice that there is then
		told int
	}{
		{"it is written", func() { l.WroteSlice(slice("b", "20")) }, "b", 1},
		{"an earlier one is gone", func() { l.slicesTable.Drop(name, "a") }, "b", 0},
		{"an earlier one was somebody else's", func() { l.WroteSlice(foreign("a", "10")) }, "b", 0},
		{"an earlier one was deleted", func() { l.DeletedSlice(slice("a", "10")) }, "b", 1},
		{"a later one is somebody else's", func() { l.WroteSlice(foreign("c", "30")) }, "", 1},
		{"it is written anew", func() { l.WroteSlice(slice("d", "40")) }, "d", 1},
		{"it was deleted", func() { l.DeletedSlice(slice("d", "40")) }, "", 1},
		{"an earlier one is gone, which is told late", func() { l.slicesTable.Drop(name, "c") }, "", 0},
		{"it is told of, late", func() { l.slicesTable.Set(slice("d", "40")) }, "", 0},
		{"it is gone", func() { l.slicesTable.Drop(name, "d") }, "", 0},
	} {
		told = nil
		step.do()
		var got types.UID
		for _, s := range l.Slices(key) {
			got = s.UID
		}
		if clusters := l.Clusters(key.Whole()); got != step.want || (len(clusters) > 0) != (got != "") || len(told) != step.told {
			t.Errorf("when %s there is %q of %v, and %v was told; want %q", step.what, got, clusters, told, step.want)
		}
	}
}

// TestWhatAnExportSaysMattersToTheSlicesOfAllClusters, whose ports have the names that the oldest export gives them.
func TestWhatAnExportSaysMattersToTheSlicesOfAllClusters(t *testing.T) {
	var told []Key
	l, err := NewLocal(LocalOptions{Config: &rest.Config{Host: "https://cluster.invalid"}, Changed: func(k Key) { told = append(told, k) }})
	if err != nil {
		t.Fatal(err)
	}
	key := Key{Import: true, Namespace: "shop", Name: "db", Cluster: "alpha"}
	slice := func(version, source string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: sliceName(key, 0), UID: "u", ResourceVersion: version, Labels: key.labels(),
			Annotations: map[string]string{SourceAnnotation: source}}}
	}
	for _, step := range []struct {
		what string
		do   func()
		all  bool
	}{
		{"it is there", func() { l.WroteSlice(slice("1", "a")) }, true},
		{"it has other endpoints", func() { l.WroteSlice(slice("2", "a")) }, false},
		{"it says something else", func() { l.WroteSlice(slice("3", "b")) }, true},
		{"it is gone", func() { l.slicesTable.Drop(keyOf(slice("3", "b")), "u") }, true},
		{"it is there anew", func() { l.WroteSlice(slice("4", "b")) }, true},
		{"it is deleted", func() { l.DeletedSlice(slice("4", "b")) }, true},
	} {
		told = nil
		step.do()
		if !slices.Contains(told, key) || slices.Contains(told, key.Whole()) != step.all {
			t.Errorf("when %s, %v is told", step.what, told)
		}
	}
}
