package shard

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// generationAnnotation of the ConfigMap is the number of the assignment in it.
const generationAnnotation = "hawser.io/shard-generation"

// Assignment is who owns which cluster, as the leader keeps it in one ConfigMap.
type Assignment struct {
	// Generation grows with each change. Replicas acknowledge by it.
	Generation int64
	// Shards by the UID of the Lease whose holder they are for: a replica that lost its Lease is not meant any more.
	Shards map[types.UID]Shard
}

// Shard is what one replica has.
type Shard struct {
	// Replica is its name.
	Replica string `json:"-"`
	// Owns are the clusters that it works for, sorted.
	Owns []string `json:"owns,omitempty"`
	// Ends are those that were taken from it, by the generation that did it. They are nobody's until it has
	// acknowledged that one. The empty name stands for whatever it had before the ConfigMap was lost.
	Ends map[string]int64 `json:"ends,omitempty"`
}

// everything stands in Shard.Ends for what is not known.
const everything = ""

// Owner returns the replica that owns a cluster; empty where none does.
func (a Assignment) Owner(cluster string) string {
	for _, s := range a.Shards {
		if _, found := slices.BinarySearch(s.Owns, cluster); found {
			return s.Replica
		}
	}
	return ""
}

// Owned counts the clusters of each replica.
func (a Assignment) Owned() map[string]int {
	n := map[string]int{}
	for _, s := range a.Shards {
		n[s.Replica] += len(s.Owns)
	}
	return n
}

// Decode reads an assignment. What cannot be read is an error, not an empty assignment: a replica goes on with what it had.
func Decode(cm *corev1.ConfigMap) (Assignment, error) {
	a := Assignment{Shards: map[types.UID]Shard{}}
	var err error
	if a.Generation, err = strconv.ParseInt(cm.Annotations[generationAnnotation], 10, 64); err != nil {
		return a, fmt.Errorf("reading annotation %s of ConfigMap %q: %w", generationAnnotation, cm.Name, err)
	}
	for key, text := range cm.Data {
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return a, fmt.Errorf("reading key %q of ConfigMap %q: it is not REPLICA.UID", key, cm.Name)
		}
		s := Shard{Replica: key[:dot]}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return a, fmt.Errorf("reading key %q of ConfigMap %q: %w", key, cm.Name, err)
		}
		slices.Sort(s.Owns)
		a.Shards[types.UID(key[dot+1:])] = s
	}
	return a, nil
}

// encode writes an assignment into a ConfigMap.
func (a Assignment) encode(cm *corev1.ConfigMap) error {
	data := map[string]string{}
	for uid, s := range a.Shards {
		text, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encoding the shard of %q: %w", s.Replica, err)
		}
		data[s.Replica+"."+string(uid)] = string(text)
	}
	cm.Data = data
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	cm.Annotations[generationAnnotation] = strconv.FormatInt(a.Generation, 10)
	return nil
}

func (a Assignment) clone() Assignment {
	b := Assignment{Generation: a.Generation, Shards: make(map[types.UID]Shard, len(a.Shards))}
	for uid, s := range a.Shards {
		s.Owns, s.Ends = slices.Clone(s.Owns), maps.Clone(s.Ends)
		b.Shards[uid] = s
	}
	return b
}
