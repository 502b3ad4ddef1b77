// Command hawser-auth is an exec credential plugin (client.authentication.k8s.io): a thin program that answers
// from its cache, and on a miss becomes `hawser auth` with the same arguments.
//
//	hawser-auth token --request team-a/alpha     the token that an AccessRequest of the local cluster keeps
//	hawser-auth eks --cluster-name prod --region eu-north-1
//	hawser-auth oidc --service-account hawser/hawser --audience hawser:…
//
// It links the standard library only, since it starts for every kubectl. The program hawser is the one in its
// own folder, or else the one on the PATH.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hawser-io/hawser/internal/authcache"
)

// patience is how long somebody else who works on the same answer is waited for: longer than `hawser auth`
// takes at most, unless it has a person to ask something.
const patience = 40 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hawser-auth:", err)
		os.Exit(1)
	}
}

// run answers from the cache. It returns only then, or with an error: on a miss another program takes over.
func run(args []string) error {
	if len(args) == 0 || slices.ContainsFunc(args, asksForHelp) {
		return become(nil, "", args, os.Environ())
	}
	ask, err := authcache.ReadAsk(os.Getenv(authcache.InfoVariable))
	if err != nil {
		return err
	}
	key := keyOf(args, ask)
	env, ok := authcache.Descend(os.Environ(), key)
	if !ok { // before it waits for the lock, which its own ancestor holds
		return errors.New("finding this credential takes this credential: let --context name a context of the local cluster that does not use it")
	}
	cache, err := authcache.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hawser-auth: answering without a cache:", err)
		return become(nil, key, args, env)
	}
	entry, lock, err := look(cache, key, ask, env)
	if errors.Is(err, errAnswered) {
		return ask.Answer(os.Stdout, entry.Status)
	}
	return become(lock, key, args, env) // without a lock it can be asked, too, and the answer is not kept
}

func asksForHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "help" }

func keyOf(args []string, ask authcache.Ask) string {
	asker := authcache.Asker{Args: args, Ask: ask, Env: os.Environ(), UID: os.Geteuid()}
	asker.Dir, _ = os.Getwd()     // it counts only where something is relative to it, which then cannot be found either
	asker.Host, _ = os.Hostname() // it tells machines apart that share a home directory
	return asker.Key()
}

// errAnswered says that there is an answer to be given.
var errAnswered = errors.New("the cache has an answer")

// look finds an answer, or gets the lock to find one. An answer that is due is given at once if somebody is at
// work on the next one, or sits at a terminal: the next one is then found in the background. Nothing is left
// behind on a build server or in a pod, where whoever asks waits for it; `hawser auth` falls back to the old one.
func look(cache *authcache.Cache, key string, ask authcache.Ask, env []string) (authcache.Entry, *authcache.Lock, error) {
	entry, ok := cache.Read(key, time.Now())
	if ok && !entry.Due(time.Now()) {
		return entry, nil, errAnswered
	}
	if ok {
		lock, free := cache.TryLock(key)
		switch {
		case !free && !entry.Pressing(time.Now()):
			return entry, nil, errAnswered
		case free && (!ask.Interactive || entry.Pressing(time.Now())):
			return entry, lock, nil
		case free:
			refresh(lock, key, env)
			return entry, nil, errAnswered
		}
	}
	lock, err := cache.Lock(key, patience)
	if err != nil {
		return entry, nil, err
	}
	if entry, ok := cache.Read(key, time.Now()); ok && !entry.Due(time.Now()) { // somebody was faster
		lock.Release()
		return entry, nil, errAnswered
	}
	return entry, lock, nil
}
