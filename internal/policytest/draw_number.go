package policytest

import (
	"slices"

	"pgregory.net/rapid"
)

// number draws one of n, each as often as the others: rapid's own draws are mostly of the first few.
func number(t *rapid.T, n int, what string) int {
	v := rapid.Uint64().Draw(t, what) + 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return int((v ^ v>>31) % uint64(n))
}

// oneIn draws whether something that is rare is so.
func oneIn(t *rapid.T, n int, what string) bool { return number(t, n, what) == 0 }

// oneOf draws one of several.
func oneOf[T any](t *rapid.T, what string, all []T) T { return all[number(t, len(all), what)] }

// someOf draws a few of several, each once.
func someOf[T any](t *rapid.T, what string, least, most int, all []T) (some []T) {
	left := slices.Clone(all)
	for range least + number(t, most-least+1, what) {
		at := number(t, len(left), what)
		some, left = append(some, left[at]), slices.Delete(left, at, at+1)
	}
	return some
}
