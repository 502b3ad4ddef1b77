// Package charts holds the Helm chart of both sides, hawser, to what it promises: its tests render it, have real API
// servers admit it, and try every way to fill in its values wrongly. It has no code.
package charts
