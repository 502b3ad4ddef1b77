// Package fleet runs controllers over many clusters. Where the list of clusters comes from is the business
// of an [inventory.Inventory]; a fleet connects to each of them, keeps caches that outlive credentials, and
// hands each controller the events of every cluster, one request a time, fair among clusters.
//
//	f, err := fleet.New(cfg, fleet.Options{Inventory: kubeconfigs})
//	…
//	err = fleet.NewControllerManagedBy(f).For(&corev1.ConfigMap{}).Complete(reconciler)
//	…
//	err = f.Start(ctx)
//
// A cluster that hangs, refuses or is gone delays no other. A cluster that cannot be reached keeps its
// caches, marked with their age; a cluster that leaves the inventory ends its reconciles.
//
// The package does not know any cloud: credential sources come with the inventory. [Links] is the smaller
// thing underneath, connections by name, for whoever runs them without controllers.
package fleet
