package bench

import (
	"runtime"
	"slices"
	"time"
)

// Median of what was measured.
func Median(d []time.Duration) time.Duration { return Quantile(d, 0.5) }

// Quantile is the least of what was measured that a part of all, between 0 and 1, does not exceed.
func Quantile(d []time.Duration, part float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// Milliseconds of a duration, with what is after the point.
func Milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// Heap is what lives in this process after garbage is collected, twice: finalizers keep some over the first time.
func Heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
