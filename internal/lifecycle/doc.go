// Package lifecycle holds releases of the chart to what is promised of their lives: installed, upgraded, rolled back
// and uninstalled by Helm on real API servers, on both sides and in any order, while the programs of two versions run
// as the rendered Deployments say. It has no code.
package lifecycle
