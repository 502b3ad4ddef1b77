package awstest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Cluster is what EKS knows of a cluster, and how its webhook answers. The API server is somebody else's.
type Cluster struct {
	Name   string
	Region string

	account  *Account
	opts     EKSOptions
	created  time.Time
	deleted  bool
	entries  map[string]*accessEntry // by the principal's ARN
	mappings []mapping               // the aws-auth ConfigMap
}

// EKSOptions describe an EKS cluster. The zero value is one that is active and has no address yet.
type EKSOptions struct {
	// Server is the URL of the API server, CA the PEM certificate that it is verified by.
	Server string
	CA     []byte
	// AuthenticationMode is API (default), API_AND_CONFIG_MAP or CONFIG_MAP.
	AuthenticationMode string
	// Status is ACTIVE (default), CREATING, UPDATING, DELETING, FAILED or PENDING. A cluster that is being created
	// shows neither address nor CA.
	Status string
	// Version is that of Kubernetes, 1.36 by default.
	Version string
	Tags    map[string]string
	// Issuer of the cluster's service-account tokens.
	Issuer string
	// PrivateOnly clusters have no public endpoint.
	PrivateOnly bool
}

func (o EKSOptions) withDefaults() EKSOptions {
	tags := o.Tags
	o.Tags = map[string]string{} // never nil: TagResource adds to it
	maps.Copy(o.Tags, tags)
	for field, value := range map[*string]string{&o.AuthenticationMode: "API", &o.Status: "ACTIVE", &o.Version: "1.36"} {
		if *field == "" {
			*field = value
		}
	}
	return o
}

// Entry is an access entry: which IAM principal is which Kubernetes user.
type Entry struct {
	PrincipalARN string
	PrincipalID  string // the unique ID at the time of the entry; the real EKS keeps it to itself
	Username     string
	Groups       []string
	Type         string
	Tags         map[string]string
	Policies     []string // ARNs of associated access policies
	CreatedAt    time.Time
	ModifiedAt   time.Time
}

type accessEntry struct {
	Entry
	arn      string
	policies map[string]accessPolicy
}

type mapping struct {
	role, username string
	groups         []string
}

// EKS makes a cluster. One of the same name and region must be deleted first, or made anew by Recreate.
func (a *Account) EKS(region, name string, opts EKSOptions) *Cluster {
	if partitionOf(region) != a.Partition {
		panic(fmt.Sprintf("awstest: region %q is not one of partition %q", region, a.Partition))
	}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	key := region + "/" + name
	if a.clusters[key] != nil {
		panic(fmt.Sprintf("awstest: there is an EKS cluster %q in %s already", name, region))
	}
	a.clusters[key] = &Cluster{
		Name: name, Region: region, account: a, opts: opts.withDefaults(), created: a.server.now(), entries: map[string]*accessEntry{},
	}
	return a.clusters[key]
}

// ARN of the cluster.
func (c *Cluster) ARN() string { return c.account.eksARN(c.Region, "cluster/"+c.Name) }

func (a *Account) eksARN(region, resource string) string {
	return fmt.Sprintf("arn:%s:eks:%s:%s:%s", a.Partition, region, a.ID, resource)
}

// change does something to the cluster under the lock.
func (c *Cluster) change(do func()) {
	c.account.server.mu.Lock()
	defer c.account.server.mu.Unlock()
	do()
}

// SetEndpoint sets the address and the CA, which are often not known when the cluster is made.
func (c *Cluster) SetEndpoint(server string, ca []byte) {
	c.change(func() { c.opts.Server, c.opts.CA = server, ca })
}

// SetIssuer sets the issuer of service-account tokens.
func (c *Cluster) SetIssuer(issuer string) { c.change(func() { c.opts.Issuer = issuer }) }

// SetStatus sets the status, for example CREATING.
func (c *Cluster) SetStatus(status string) { c.change(func() { c.opts.Status = status }) }

// SetAuthenticationMode sets the mode, for example CONFIG_MAP.
func (c *Cluster) SetAuthenticationMode(mode string) {
	c.change(func() { c.opts.AuthenticationMode = mode })
}

// SetTags replaces the tags.
func (c *Cluster) SetTags(tags map[string]string) {
	c.change(func() {
		c.opts.Tags = map[string]string{}
		maps.Copy(c.opts.Tags, tags)
	})
}

// Delete deletes the cluster with its access entries. Its webhook refuses everybody from now on.
func (c *Cluster) Delete() { c.change(c.delete) }

func (c *Cluster) delete() {
	c.deleted = true
	clear(c.entries)
	c.mappings = nil
	if key := c.Region + "/" + c.Name; c.account.clusters[key] == c {
		delete(c.account.clusters, key)
	}
}

// Recreate deletes the cluster and makes another one of the same name, without any access entry. This object is
// the new one from now on, as is the webhook.
func (c *Cluster) Recreate(opts EKSOptions) {
	c.change(func() {
		c.delete()
		c.deleted, c.opts, c.created = false, opts.withDefaults(), c.account.server.now()
		c.account.clusters[c.Region+"/"+c.Name] = c
	})
}

// Entry adds or replaces an access entry of type STANDARD. username is the default one if empty. The principal
// must exist; its unique ID is kept.
func (c *Cluster) Entry(principalARN string, groups []string, username string) {
	c.change(func() {
		id, ok := c.account.server.principalID(principalARN)
		if !ok {
			panic(fmt.Sprintf("awstest: making an access entry: there is no %s", principalARN))
		}
		c.put(Entry{PrincipalARN: principalARN, PrincipalID: id, Groups: slices.Clone(groups), Username: username, Type: "STANDARD"})
	})
}

// put completes an entry and keeps it. The caller holds the lock.
func (c *Cluster) put(e Entry) *accessEntry {
	kind, path, _ := strings.Cut(e.PrincipalARN[strings.LastIndex(e.PrincipalARN, ":")+1:], "/")
	account := strings.Split(e.PrincipalARN, ":")[4]
	if e.Username == "" {
		e.Username = e.PrincipalARN
		if kind == "role" { // whose path is dropped, as STS drops it
			e.Username = fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/{{SessionName}}", c.account.Partition, account, lastSegment(path))
		}
	}
	if e.Tags == nil {
		e.Tags = map[string]string{}
	}
	e.CreatedAt = c.account.server.now()
	e.ModifiedAt = e.CreatedAt
	entry := &accessEntry{
		Entry: e, policies: map[string]accessPolicy{},
		arn: c.account.eksARN(c.Region, strings.Join([]string{"access-entry", c.Name, kind, account, lastSegment(path), strings.ToLower(rand.Text())}, "/")),
	}
	c.entries[e.PrincipalARN] = entry
	return entry
}

// RemoveEntry removes an access entry.
func (c *Cluster) RemoveEntry(principalARN string) {
	c.change(func() { delete(c.entries, principalARN) })
}

// Entries returns the access entries, in order of their principals.
func (c *Cluster) Entries() []Entry {
	var entries []Entry
	c.change(func() {
		for _, principal := range slices.Sorted(maps.Keys(c.entries)) {
			e := c.entries[principal].Entry
			e.Groups, e.Tags = slices.Clone(e.Groups), maps.Clone(e.Tags)
			e.Policies = slices.Sorted(maps.Keys(c.entries[principal].policies))
			entries = append(entries, e)
		}
	})
	return entries
}

// AWSAuth adds a role to the aws-auth ConfigMap, which counts in the modes CONFIG_MAP and API_AND_CONFIG_MAP. It
// knows roles by their ARN without a path, and so takes a recreated role for the old one.
func (c *Cluster) AWSAuth(roleARN, username string, groups ...string) {
	c.change(func() { c.mappings = append(c.mappings, mapping{role: roleARN, username: username, groups: groups}) })
}

func lastSegment(path string) string { return path[strings.LastIndex(path, "/")+1:] }
