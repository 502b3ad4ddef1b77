// Package cache holds the attempts on the files in which hawser-auth keeps its answers. It is a part of package attempts by
// itself because it needs no cluster. It has no other code.
package cache
