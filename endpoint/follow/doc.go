// Package follow keeps somebody informed of the objects of one kind in one cluster, through interruptions: a [Table] lists
// and watches them, and says how much it has, since when, and what is wrong. It takes nothing of another cluster than the
// one that is meant ([Identity]), nothing for gone before a list has ended, and lists a cluster anew that was restored from
// a backup. What the objects are, and what is kept of them, it does not know.
package follow
