package service

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Spare is how to write next in the place of old, nil for deleting it, while there are slices that could not be written: what
// is to move into one of these stays where it stands, with the ports that it has there, and everything else is done, so that
// what is gone goes. The Source is of that, too: whoever has only the slices would take a cluster without one for one that
// exports nothing. It returns old where there is nothing to do.
func Spare(old, next *discoveryv1.EndpointSlice, unwritten []*discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	spared := spareEndpoints(old, next, unwritten)
	source := homelessSource(unwritten)
	if source == "" || old.Annotations[SourceAnnotation] == "" {
		return spared
	}
	if spared == nil {
		spared = old.DeepCopy()
		spared.Endpoints = []discoveryv1.Endpoint{}
	} else {
		spared = spared.DeepCopy()
	}
	if spared.Annotations == nil {
		spared.Annotations = map[string]string{}
	}
	spared.Annotations[SourceAnnotation] = source
	if same(old, spared) {
		return old
	}
	return spared
}

// homelessSource is the Source of the slices that could not be written; "" where it is on none of them.
func homelessSource(unwritten []*discoveryv1.EndpointSlice) string {
	for _, s := range unwritten {
		if text := s.Annotations[SourceAnnotation]; text != "" {
			return text
		}
	}
	return ""
}

// spareEndpoints is Spare for the endpoints alone.
func spareEndpoints(old, next *discoveryv1.EndpointSlice, unwritten []*discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	planned, homeless := map[identity]discoveryv1.Endpoint{}, map[identity]discoveryv1.Endpoint{}
	if next != nil {
		file(planned, next)
	}
	for _, s := range unwritten {
		file(homeless, s)
	}
	var moving, staying []discoveryv1.Endpoint
	for _, e := range old.Endpoints {
		id := identityOf(&e)
		if now, stays := planned[id]; stays {
			staying = append(staying, now)
		} else if now, moves := homeless[id]; moves {
			moving = append(moving, now)
		}
	}
	spared := old
	switch {
	case len(moving) == 0:
		return next
	case next == nil:
		spared = old.DeepCopy()
		spared.Endpoints = moving
	case equality.Semantic.DeepEqual(old.Ports, next.Ports):
		spared = next.DeepCopy()
		spared.Endpoints = append(spared.Endpoints, moving[:min(len(moving), MostPerSlice-len(spared.Endpoints))]...)
	default: // the slice is to be another group's
		spared = next.DeepCopy()
		spared.Ports, spared.Endpoints = old.Ports, slices.Concat(staying, moving)
	}
	if same(old, spared) {
		return old
	}
	return spared
}

func file(into map[identity]discoveryv1.Endpoint, s *discoveryv1.EndpointSlice) {
	for _, e := range s.Endpoints {
		into[identityOf(&e)] = e
	}
}

func identityOf(e *discoveryv1.Endpoint) identity {
	read := readEndpoint(e)
	return read.identity()
}
