// Package query answers what people ask about the endpoints of the fleet: which ones a selector matches, which ones
// are on a host, and which of some selectors match each. An Answer says how old it is and what is missing from it,
// cluster by cluster. Answers of several managers, of which each knows a part of the clusters, are merged into one.
//
// It is asked in the same way in a program that has a catalog and, by Handler and Send, in a manager. Who may ask,
// and which policies there are, is not its business.
package query
