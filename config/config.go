// Package config reads the one configuration file. It knows names, types and
// defaults; what a value means is for the packages that use it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// A Duration is written as Go writes it: "500ms", "2h".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = fmt.Errorf("%s: write a duration that is not negative", text)
	}
	*d = Duration(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Config is the whole file. Every key has a default.
type Config struct {
	Hostname string    `toml:"hostname"`
	StateDir string    `toml:"state_dir"`
	Log      Log       `toml:"log"`
	Milter   Milter    `toml:"milter"`
	Header   Header    `toml:"header"`
	Archives []Archive `toml:"archive"`
	Registry Registry  `toml:"registry"`
}

// Log is the table [log].
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Milter is the table [milter].
type Milter struct {
	Listen          []string `toml:"listen"`
	SocketMode      string   `toml:"socket_mode"`
	SocketGroup     string   `toml:"socket_group"`
	MaxConnections  int      `toml:"max_connections"`
	IdleTimeout     Duration `toml:"idle_timeout"`
	MessageBudget   Duration `toml:"message_budget"`
	ShutdownBudget  Duration `toml:"shutdown_budget"`
	MaxHeaderFields int      `toml:"max_header_fields"`
	MaxHeaderBytes  int      `toml:"max_header_bytes"`
}

// Header is the table [header].
type Header struct {
	Algorithm        string   `toml:"algorithm"`
	Emit             []string `toml:"emit"`
	Remove           []string `toml:"remove"`
	MissingMessageID string   `toml:"missing_message_id"`
	Unmatched        string   `toml:"unmatched"`
	Identity         []string `toml:"identity"`
}

// Archive is one table [[archive]].
type Archive struct {
	Name        string   `toml:"name"`
	Lists       []string `toml:"lists"`
	List        string   `toml:"list"`
	URL         string   `toml:"url"`
	OnCollision string   `toml:"on_collision"`
}

// Registry is the table [registry].
type Registry struct {
	URL            string   `toml:"url"`
	Timeout        Duration `toml:"timeout"`
	ReservationTTL Duration `toml:"reservation_ttl"`
	OnFailure      string   `toml:"on_failure"`
}

// Default returns what an empty file means. The idle timeout is libmilter's:
// a shorter one would end sessions that Sendmail still waits in.
func Default() *Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Config{
		Hostname: host,
		StateDir: stateDir(),
		Log:      Log{Level: "info", Format: "text"},
		Milter: Milter{Listen: []string{"inet:127.0.0.1:8899"}, SocketMode: "0660", MaxConnections: 500, IdleTimeout: Duration(2 * time.Hour),
			MessageBudget: Duration(5 * time.Second), ShutdownBudget: Duration(10 * time.Second), MaxHeaderFields: 2000, MaxHeaderBytes: 1 << 20},
		Header: Header{Algorithm: "md5", Emit: []string{"Message-ID-MD5"}, Remove: []string{"X-Message-ID-Hash"},
			MissingMessageID: "derive", Unmatched: "hash", Identity: []string{"message-id", "date"}},
		Registry: Registry{URL: "bolt:permalinks.db", Timeout: Duration(500 * time.Millisecond), OnFailure: "stamp"},
	}
}

// stateDir is systemd's, root's, or the user's own.
func stateDir() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if os.Getuid() == 0 || err != nil {
		return "/var/lib/permalink-milter"
	}
	return filepath.Join(home, ".local/state/permalink-milter")
}

// Load reads a file over the defaults. Unknown keys are errors, all told at
// once with line and column.
func Load(name string) (*Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(name, data)
}

// Parse is Load for a file that is read already; name is for errors.
func Parse(name string, data []byte) (*Config, error) {
	c := Default()
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(c)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		return nil, fmt.Errorf("%s: unknown keys:\n%s", name, strict.String())
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return nil, fmt.Errorf("%s:%d:%d: %w", name, line, column, err)
	}
	return c, err
}
