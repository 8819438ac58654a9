package redisreg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// advice is what to do about each error reply that does not pass by itself.
var advice = []struct{ reply, do string }{
	{"NOPERM", permissions},
	{"The user executing the script", permissions},
	{"ACL failure in script", permissions},
	{"NOAUTH", "set registry.username and registry.password_file, or PERMALINK_REDIS_PASSWORD"},
	{"WRONGPASS", "set registry.username and registry.password_file to what the server knows"},
	{"READONLY", replica},
	{"unknown command", "EVALSHA and EVAL must not be renamed or disabled; for a Sentinel write redis+sentinel://"},
	{"This instance has cluster support disabled", "write redis:// in registry.url"},
	{"MOVED", clusterNode},
	{"SELECT is not allowed in cluster mode", clusterNode},
	{"DB index is out of range", "take a lower database number in registry.url, or raise the server's databases"},
}

const (
	permissions = "grant the ACL user ~PREFIX* (see key_prefix) and +eval +evalsha +hget +hstrlen +hset +hdel +hlen +hscan +wait +info +config|get, for a database other than 0 +select, on a Cluster +cluster"
	replica     = "this is a replica: name the primary in registry.url, or the Sentinels"
	clusterNode = "the server is a Cluster's node: write redis+cluster:// in registry.url"
)

// Check checks whether the servers can hold a registry. Its error wraps
// registry.ErrUnavailable if they do not answer, which may pass. Any other error
// needs the operator. Warnings are about settings that weaken what the registry
// promises, and about those that could not be checked.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	if err := s.probe(ctx); err != nil {
		return nil, advise(err)
	}
	if err := s.checkKeys(ctx); err != nil {
		return nil, advise(err)
	}
	var mu sync.Mutex
	err = s.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		found, err := s.checkNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		warnings = append(warnings, found...)
		return err
	})
	slices.Sort(warnings)
	return slices.Compact(warnings), err
}

// advise adds the advice to an error reply that is in the table. The error then
// does not count as an outage.
func advise(err error) error {
	for _, a := range advice {
		if redis.HasErrorPrefix(err, a.reply) {
			var reply redis.Error
			errors.As(err, &reply)
			return fmt.Errorf("redis: %w: %s", reply, a.do)
		}
	}
	return err
}

// probe writes and deletes a field of a key that is not used for entries.
func (s *Store) probe(ctx context.Context) error {
	at := place{s.prefix + "v1:{probe}", "probe"}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, _, err := s.swap(ctx, at, "", "1"); err != nil {
		return err
	}
	_, _, err := s.swap(ctx, at, "1", "")
	return err
}

// checkKeys returns an error if the key of a bucket has another type.
func (s *Store) checkKeys(ctx context.Context) error {
	for from := 0; from < buckets; from += scanBuckets {
		pipe := s.client.Pipeline()
		for i := range scanBuckets {
			pipe.HLen(ctx, s.bucket(from+i))
		}
		for i, cmd := range exec(ctx, pipe) {
			if err := cmd.Err(); err != nil {
				return place{key: s.bucket(from + i)}.failed(err)
			}
		}
	}
	return nil
}

func (s *Store) eachPrimary(ctx context.Context, do func(context.Context, *redis.Client) error) error {
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, do)
	case *redis.Client:
		return do(ctx, c)
	}
	return nil
}

func (s *Store) checkNode(ctx context.Context, node *redis.Client) ([]string, error) {
	_, cluster := s.client.(*redis.ClusterClient)
	n := selfReport{cluster: cluster, minReplicas: s.minReplicas, config: make(map[string]string)}
	text, err := node.Info(ctx, "everything").Result()
	if err != nil && !redis.HasErrorPrefix(err, "NOPERM") {
		return nil, place{}.failed(err)
	}
	n.info = parseInfo(text)
	for _, pattern := range []string{"save", "hash-max-*"} {
		values, err := node.ConfigGet(ctx, pattern).Result()
		if err == nil {
			maps.Copy(n.config, values)
		}
	}
	warnings, err := n.judge()
	if err != nil {
		err = fmt.Errorf("redis %s: %w", node.Options().Addr, err)
	}
	return warnings, err
}

// parseInfo parses the answer to INFO, lines of name:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// A selfReport is what a primary reports about itself. A map is empty if the
// user lacks the permission to ask.
type selfReport struct {
	info, config map[string]string
	cluster      bool
	minReplicas  int
}

// judge returns the warnings and the error of Check for one primary.
func (n selfReport) judge() (warnings []string, err error) {
	if len(n.info) == 0 {
		return []string{"INFO is not permitted: version, eviction policy, persistence and replicas were not checked; grant +info"}, nil
	}
	if n.info["role"] != "master" {
		return nil, errors.New(replica)
	}
	if n.info["cluster_enabled"] == "1" && !n.cluster {
		return nil, errors.New(clusterNode)
	}
	if err := n.eviction(); err != nil {
		return nil, err
	}
	if policy := n.info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		warnings = append(warnings, "maxmemory-policy "+policy+" would throw reservations away once maxmemory is set: set noeviction, or a volatile policy")
	}
	if major, _, _ := strings.Cut(n.info["redis_version"], "."); number(major) < 6 {
		warnings = append(warnings, "redis "+n.info["redis_version"]+" is older than any that was tested: take 6 or later")
	}
	return append(append(warnings, n.persistence()...), n.limits()...), nil
}

// eviction returns an error for a server that throws reservations away.
func (n selfReport) eviction() error {
	policy := n.info["maxmemory_policy"]
	if strings.HasPrefix(policy, "allkeys-") && number(n.info["maxmemory"]) > 0 {
		return fmt.Errorf("maxmemory-policy %s throws reservations away when memory runs out: set noeviction, or a volatile policy", policy)
	}
	return nil
}

// ErrEvicts is wrapped by the error of CheckEviction.
var ErrEvicts = errors.New("the registry may lose reservations")

// CheckEviction returns ErrEvicts, wrapped, if a primary now throws reservations
// away when memory runs out, as Check does at the start: such a setting can be
// changed while the server runs. Other errors mean that it is not known.
func (s *Store) CheckEviction(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	return s.eachPrimary(ctx, func(ctx context.Context, node *redis.Client) error {
		text, err := node.Info(ctx, "memory").Result()
		if err != nil {
			return place{}.failed(err)
		}
		if err := (selfReport{info: parseInfo(text)}).eviction(); err != nil {
			return fmt.Errorf("%w: redis %s: %w", ErrEvicts, node.Options().Addr, err)
		}
		return nil
	})
}

func (n selfReport) persistence() []string {
	save, known := n.config["save"]
	switch {
	case n.info["aof_enabled"] == "1":
		return nil
	case !known:
		return []string{"appendonly is off, and CONFIG GET save is not permitted: if there are no snapshots, a restart loses every reservation"}
	case save == "":
		return []string{"appendonly is off and there are no snapshots: a restart loses every reservation; set appendonly yes"}
	}
	return []string{"appendonly is off: a restart loses what was reserved since the last snapshot (save " + save + "); set appendonly yes"}
}

func (n selfReport) limits() (warnings []string) {
	for name, least := range map[string]int{"hash-max-listpack-entries": 128, "hash-max-listpack-value": 64} {
		if value, err := strconv.Atoi(n.config[name]); err == nil && value < least {
			warnings = append(warnings, fmt.Sprintf("%s %d makes reservations take half as much memory again: set at least %d", name, value, least))
		}
	}
	if have := number(n.info["connected_slaves"]); have < n.minReplicas {
		warnings = append(warnings, fmt.Sprintf("%d replicas are connected, min_replicas is %d: no reservation will be acknowledged", have, n.minReplicas))
	}
	return warnings
}

// number parses a number of INFO or CONFIG GET. It returns 0 if there is none.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
