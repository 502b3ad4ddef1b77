// Command index measures the index of endpoints at 250,000 and 1,000,000 endpoints: 50 clusters of 50
// namespaces, 10 labels each, and 1,000 selectors of five shapes. It uses one goroutine.
package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/selector"
)

const (
	clusters   = 50
	namespaces = 50 // in each cluster
	perShape   = 200
	crowd      = 5_000 // endpoints of one namespace of one cluster
)

func main() {
	bench.Main("index", nil, func(b *bench.Bench) error {
		for _, size := range []struct {
			name string
			n    int
		}{{"index-250k", 250_000}, {"index-1m", 1_000_000}} {
			if err := measure(b, size.name, size.n); err != nil {
				return err
			}
		}
		return nil
	})
}

func measure(b *bench.Bench, name string, n int) error {
	all := selectors(n)
	add := func(figure string, value float64, unit, note string) { b.Add(name+"/"+figure, value, unit, note) }

	second, loadTook, bytes := load(n, all, false)
	selectorsTook, err := loadOther(n, all, second)
	if err != nil {
		return err
	}
	add("load_s", max(selectorsTook, loadTook).Seconds(), "s", fmt.Sprintf("%d endpoints and %d selectors, by one goroutine: selectors first %.2f s, endpoints first %.2f s", n, len(all), selectorsTook.Seconds(), loadTook.Seconds()))
	add("bytes_per_endpoint", float64(bytes)/float64(n), "bytes", fmt.Sprintf("heap after a collection, with names, addresses, labels and the %d selectors (%d memberships)", len(all), second.memberships()))
	p50, p99 := second.relabel()
	add("relabel_p50_us", p50, "µs", fmt.Sprintf("one endpoint changes 2 of its 10 labels, one of them with as many values as endpoints; a look into memory that no cache has took %.0f ns then", memory()))
	add("relabel_p99_us", p99, "µs", "as above")
	add("namespace_relabel_ms", second.relabelNamespace(), "ms", fmt.Sprintf("a label of a namespace with %d endpoints, which four selectors ask for; the worst of 20", crowd))
	worst, note := second.addOne(n)
	add("add_selector_ms", worst, "ms", note)
	add("eval_ms", second.evalOne(n), "ms", "one evaluation that nobody keeps, of the worst of these shapes")
	return nil
}

// fleet is an index with what it was filled with.
type fleet struct {
	index   *index.Index
	parts   []*index.Cluster
	queries []*index.Query
	n       int
}

func load(n int, all []*selector.Selector, selectorsFirst bool) (f *fleet, took time.Duration, bytes uint64) {
	before := bench.Heap()
	f = &fleet{index: index.New(), n: n}
	begin := time.Now()
	if selectorsFirst {
		f.ask(all)
	}
	var made time.Duration // of the endpoints that are handed in
	for c := range clusters {
		name := fmt.Sprintf("cluster-%02d", c)
		part, err := f.index.Cluster(name, "id-of-"+name)
		if err != nil {
			panic(err) // the names are ours
		}
		f.parts = append(f.parts, part)
		for ns := range namespaces {
			part.SetNamespace(namespace(ns), namespaceLabels(ns, 0))
		}
		part.SetNamespace("crowd", namespaceLabels(namespaces, 0))
		for i := range n / clusters {
			t := time.Now()
			e := endpointOf(n, c, i, 0)
			made += time.Since(t)
			part.Set(&e)
		}
	}
	if !selectorsFirst {
		f.ask(all)
	}
	took = time.Since(begin) - made
	return f, took, bench.Heap() - before
}

// loadOther loads in the other order, and fails where that answers differently.
func loadOther(n int, all []*selector.Selector, like *fleet) (took time.Duration, err error) {
	f, took, _ := load(n, all, true)
	return took, agree(f, like)
}

func (f *fleet) ask(all []*selector.Selector) {
	for _, s := range all {
		f.queries = append(f.queries, f.index.Add(s, func(string) {}))
	}
}

func namespace(i int) string { return fmt.Sprintf("namespace-%02d", i) }

func namespaceLabels(i, version int) []index.Label {
	return []index.Label{
		{Name: "kubernetes.io/metadata.name", Value: namespace(i)},
		{Name: "team", Value: fmt.Sprintf("team-%02d", i%50)},
		{Name: "stage", Value: fmt.Sprintf("stage-%d", (i+version)%4)},
	}
}

// endpointOf makes the i-th endpoint of a cluster. An app has 50 endpoints, ten in each of five clusters. The
// labels that follow have 333, 40, 10, 4, 3 and 2 values, one for each endpoint, one that all have in common,
// and one that half of them lack. Those of the first cluster's crowd are all in one namespace.
func endpointOf(n, cluster, i, version int) index.Endpoint {
	k := cluster*(n/clusters) + i
	ns := namespace(i % namespaces)
	if cluster == 0 && i < crowd {
		ns = "crowd"
	}
	e := index.Endpoint{
		ID:             index.ID{Kind: index.Pod, Namespace: ns, Name: fmt.Sprintf("workload-%d-5d4f8c7b9-%05x", i%700, k)},
		ServiceAccount: "default", Node: fmt.Sprintf("node-%d", i%100),
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), 32)},
		Ports:     []index.Port{{Name: "http", Protocol: "TCP", Number: 8080}},
		Labels: []index.Label{
			{Name: "app", Value: fmt.Sprintf("app-%d", cluster/5*(n/500)+(i+version)%(n/500))},
			{Name: "release", Value: fmt.Sprintf("release-%d", k%333)},
			{Name: "component", Value: fmt.Sprintf("component-%d", k%40)},
			{Name: "tier", Value: fmt.Sprintf("tier-%d", k%10)},
			{Name: "zone", Value: fmt.Sprintf("zone-%d", k%4)},
			{Name: "track", Value: fmt.Sprintf("track-%d", k%3)},
			{Name: "side", Value: fmt.Sprintf("side-%d", k%2)},
			{Name: "uid", Value: fmt.Sprintf("u%07x-%d", uint32(k)*2654435761, version)},
			{Name: "managed-by", Value: "operator"},
		},
	}
	if k%2 == 0 {
		e.Labels = append(e.Labels, index.Label{Name: "canary", Value: "true"})
	} else {
		e.Labels = append(e.Labels, index.Label{Name: "stable", Value: "true"})
	}
	slices.SortFunc(e.Labels, func(a, b index.Label) int { return strings.Compare(a.Name, b.Name) }) // as API servers send them
	return e
}

// shapes are those of the selectors, with what they match of 250,000 endpoints.
func shapes(n, i int) []string {
	app := func(j int) string { return fmt.Sprintf("app-%d", (7*i+j)%(n/50)) }
	return []string{
		fmt.Sprintf(`app == %q && has(managed-by)`, app(0)),                                                                // 50
		fmt.Sprintf(`release in {%q, "release-%d", "release-%d"}`, fmt.Sprintf("release-%d", i%333), (i+1)%333, (i+2)%333), // 2,250
		fmt.Sprintf(`pcns.team == "team-%02d" && tier == "tier-%d"`, i%50, i%10),                                           // 500
		fmt.Sprintf(`!has(canary) && component == "component-%d"`, i%40),                                                   // 6,250, or none
		fmt.Sprintf(`uid starts with "u%03x"`, i*20),                                                                       // 61
	}
}

var shapeNames = []string{"equality", "in", "namespace and equality", "negated has", "prefix"}

func selectors(n int) (all []*selector.Selector) {
	for i := range perShape {
		for _, text := range shapes(n, i) {
			all = append(all, selector.MustParse(text))
		}
	}
	return all
}

func (f *fleet) memberships() (sum int) {
	for _, q := range f.queries {
		for _, cluster := range f.index.Clusters() {
			sum += q.Len(cluster)
		}
	}
	return sum
}

// agree fails where two fleets that were loaded in different orders answer differently.
func agree(a, b *fleet) error {
	for i := range a.queries {
		for _, cluster := range a.index.Clusters() {
			if x, y := a.queries[i].Len(cluster), b.queries[i].Len(cluster); x != y {
				return fmt.Errorf("what was measured went wrong: %s matches %d or %d in %s", a.queries[i].Selector(), x, y, cluster)
			}
		}
	}
	return nil
}

func (f *fleet) relabel() (p50, p99 float64) {
	random := rand.New(rand.NewPCG(1, 2))
	var took []float64
	for version := range 20_000 {
		c, i := random.IntN(clusters), random.IntN(f.n/clusters)
		e := endpointOf(f.n, c, i, version+1)
		begin := time.Now()
		f.parts[c].Set(&e)
		took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// memory is how long a look into memory takes, in nanoseconds: at a million endpoints, a change of labels is about twenty of
// these. On a machine that is shared with others it changes by the minute, and twofold.
func memory() (ns float64) {
	const looks = 1 << 20
	next := make([]uint32, 1<<25) // 128 MiB
	random := rand.New(rand.NewPCG(3, 4))
	for i := range next {
		next[i] = uint32(i)
	}
	for i := len(next) - 1; i > 0; i-- { // one circle through all (Sattolo's algorithm)
		j := random.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	begin, at := time.Now(), uint32(0)
	for range looks {
		at = next[at]
	}
	took := time.Since(begin)
	if next[at] == at {
		panic("the circle has an end")
	}
	return float64(took.Nanoseconds()) / looks
}

func (f *fleet) relabelNamespace() (worst float64) {
	var live []*index.Query
	for i := range 4 {
		live = append(live, f.index.Add(selector.MustParse(fmt.Sprintf(`pcns.stage == "stage-%d" && has(managed-by)`, i)), nil))
	}
	for version := range 20 {
		begin := time.Now()
		f.parts[0].SetNamespace("crowd", namespaceLabels(namespaces, version+1))
		worst = max(worst, ms(time.Since(begin)))
	}
	for _, q := range live {
		q.Close()
	}
	return worst
}

const oneMore = perShape + 3

func (f *fleet) addOne(n int) (worst float64, note string) {
	for i, text := range shapes(n, oneMore) {
		var took []float64
		s := selector.MustParse(text)
		members := 0
		for range 20 {
			begin := time.Now()
			q := f.index.Add(s, nil)
			took = append(took, ms(time.Since(begin)))
			members = 0
			for _, cluster := range f.index.Clusters() {
				members += q.Len(cluster)
			}
			q.Close()
		}
		slices.Sort(took)
		note += fmt.Sprintf("%s (%d members) %.2f, ", shapeNames[i], members, took[len(took)/2])
		worst = max(worst, took[len(took)/2])
	}
	return worst, "medians of 20 by shape: " + note + "the worst counts"
}

func (f *fleet) evalOne(n int) (worst float64) {
	for _, text := range shapes(n, oneMore) {
		s := selector.MustParse(text)
		var took []float64
		for range 20 {
			begin := time.Now()
			for _, cluster := range f.index.Clusters() {
				for range f.index.Eval(s, cluster) {
				}
			}
			took = append(took, ms(time.Since(begin)))
		}
		slices.Sort(took)
		worst = max(worst, took[len(took)/2])
	}
	return worst
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
