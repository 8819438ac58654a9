package redisreg

import (
	"strings"
	"testing"
)

// What a real server of the tests cannot be brought to say.
func TestJudgeReadsWhatServersSay(t *testing.T) {
	well := map[string]string{"role": "master", "aof_enabled": "1", "redis_version": "7.0.15"}
	with := func(name, value string) map[string]string {
		info := map[string]string{name: value}
		for k, v := range well {
			if k != name {
				info[k] = v
			}
		}
		return info
	}
	for name, c := range map[string]struct {
		report        selfReport
		warnings, err string
	}{
		"well":              {report: selfReport{info: well}},
		"a version of 2018": {report: selfReport{info: with("redis_version", "5.0.14")}, warnings: "redis 5.0.14 is older"},
		"a later version":   {report: selfReport{info: with("redis_version", "10.2")}},
		"a replica":         {report: selfReport{info: with("role", "slave")}, err: "this is a replica"},
		"a node alone":      {report: selfReport{info: with("cluster_enabled", "1")}, err: "redis+cluster://"},
		"a node":            {report: selfReport{info: with("cluster_enabled", "1"), cluster: true}},
		"a lost replica":    {report: selfReport{info: with("connected_slaves", "1"), minReplicas: 2}, warnings: "1 replicas are connected, min_replicas is 2"},
	} {
		warnings, err := c.report.judge()
		if got := strings.Join(warnings, "\n"); !strings.Contains(got, c.warnings) || c.warnings == "" && got != "" {
			t.Errorf("%s: warnings %q, want %q", name, got, c.warnings)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}
