// Package config is the one configuration file: its names, types, defaults and
// positions. What a template or an algorithm means is for the packages that
// use it; they add what they find wrong to the file's [Problems] by key.
//
// The structs below are the schema. Each field has these tags:
//
//	toml     the key
//	comment  what it is for: in example.toml, the README and the manual page
//	oneof    the values allowed
//	min      the least value allowed
//	default  what stands for a default that depends on the host
//	reload   "yes" where SIGHUP is enough to change it
package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is the whole file. Every key has a default.
type Config struct {
	Hostname string    `toml:"hostname" reload:"yes" default:"the host's own" comment:"This host's name, for Message-IDs that are generated and for replies."`
	StateDir string    `toml:"state_dir" default:"/var/lib/permalink-milter, or the user's own" comment:"Where the embedded registry and the journal are. systemd's StateDirectory= comes first."`
	Log      Log       `toml:"log"`
	Milter   Milter    `toml:"milter"`
	Header   Header    `toml:"header"`
	Archives []Archive `toml:"archive"`
	Registry Registry  `toml:"registry"`
	Admin    Admin     `toml:"admin" comment:"Metrics and health; off unless listen is set."`
	HTTP     HTTP      `toml:"http" comment:"API, resolver and web page; off unless listen is set."`
	LMTP     LMTP      `toml:"lmtp" comment:"The negotiation of permalinks by LMTP; off unless listen is set."`
}

// Log is the table [log].
type Log struct {
	Level  string `toml:"level" reload:"yes" oneof:"debug info warn error" comment:"debug, info, warn or error: what is logged; info has one line a message."`
	Format string `toml:"format" oneof:"text json" comment:"text or json: how a line is written."`
}

// Milter is the table [milter].
type Milter struct {
	Listen          []Address `toml:"listen" comment:"Where MTAs connect: inet:HOST:PORT, inet6:[HOST]:PORT, unix:/PATH, or systemd:NAME for sockets of socket activation."`
	SocketMode      string    `toml:"socket_mode" comment:"Mode of unix sockets, octal."`
	SocketOwner     string    `toml:"socket_owner" comment:"Owner of unix sockets; the daemon's own user where empty."`
	SocketGroup     string    `toml:"socket_group" comment:"Group of unix sockets, so that the MTA may connect; the daemon's own where empty."`
	MaxConnections  int       `toml:"max_connections" min:"1" comment:"MTA connections served at once; further ones wait."`
	IdleTimeout     Duration  `toml:"idle_timeout" min:"1" comment:"How long a connection may be silent; the MTA's own wait must be shorter."`
	MessageBudget   Duration  `toml:"message_budget" min:"1" comment:"For all registry calls of one message; below the MTA's own timeout."`
	ShutdownBudget  Duration  `toml:"shutdown_budget" min:"1" comment:"How long messages in progress may take to end after SIGTERM."`
	MaxHeaderFields int       `toml:"max_header_fields" min:"1" comment:"A message with more header fields passes unmarked."`
	MaxHeaderBytes  Size      `toml:"max_header_bytes" min:"1" comment:"A message for which more must be remembered passes unmarked."`
}

// Header is the table [header].
type Header struct {
	Algorithm        string   `toml:"algorithm" reload:"yes" comment:"md5, sha1 or sha256: the {hash} of templates and the token."`
	Emit             []string `toml:"emit" reload:"yes" comment:"Hash fields to write: Message-ID-MD5, -SHA1, -SHA256, also behind a prefix such as List-, or Message-ID-Hash for older archivers."`
	Remove           []string `toml:"remove" reload:"yes" comment:"Hash fields that are dropped and never written."`
	MissingMessageID string   `toml:"missing_message_id" reload:"yes" oneof:"derive generate skip" comment:"derive, generate or skip: a message without a Message-ID gets one made of its originator fields, a unique one, or none."`
	Unmatched        string   `toml:"unmatched" reload:"yes" oneof:"hash skip" comment:"hash or skip: a message that no archive matches gets the hash fields alone, or nothing."`
	Identity         []string `toml:"identity" reload:"yes" comment:"What tells two messages of one hash apart: any of from to cc date message-id subject."`
}

// Archive is one table [[archive]].
type Archive struct {
	Name        string   `toml:"name" reload:"yes" comment:"For the log; each archive has its own."`
	Lists       []string `toml:"lists" reload:"yes" comment:"Glob patterns on list addresses, as *@lists.example.org."`
	List        string   `toml:"list" reload:"yes" comment:"The list of messages that name none; may be empty."`
	URL         string   `toml:"url" reload:"yes" comment:"Template of the permalinks, with {token} {hash} {md5} {sha1} {sha256} {message_id} {list} {listname} {host} {list_id}."`
	Target      string   `toml:"target" reload:"yes" comment:"Template that the resolver of [http] follows, where url is the resolver's own, so that permalinks outlive the archive; url where empty."`
	OnCollision string   `toml:"on_collision" reload:"yes" oneof:"suffix share" comment:"suffix or share: the second message with one hash gets HASH-2, or shares HASH where the archiver keeps one message a Message-ID."`
}

// Registry is the table [registry].
type Registry struct {
	URL             string   `toml:"url" comment:"bolt:FILE in the state directory, redis:// rediss:// unix:// redis+sentinel:// redis+cluster://, or memory: to try things out."`
	Timeout         Duration `toml:"timeout" min:"1" comment:"For one call of the registry."`
	ReservationTTL  Duration `toml:"reservation_ttl" comment:"A reservation that no archiver confirms ends after this; 0s: never."`
	OnFailure       string   `toml:"on_failure" oneof:"stamp tempfail accept" comment:"stamp, tempfail or accept: while the registry does not answer, write the bare hash, answer 451 4.7.1, or pass the message unmarked."`
	JournalMaxBytes Size     `toml:"journal_max_bytes" min:"1" comment:"Room on disk for reservations that wait for the registry."`
	MinReplicas     int      `toml:"min_replicas" min:"0" comment:"Redis: replicas that must have a reservation before it counts (WAIT)."`
	TLSCA           string   `toml:"tls_ca" comment:"Redis: file of the CA that signed the server's certificate; the system's CAs where empty."`
	TLSCert         string   `toml:"tls_cert" comment:"Redis: file of the client certificate; goes with tls_key."`
	TLSKey          string   `toml:"tls_key" comment:"Redis: file of the client certificate's key."`
	Username        string   `toml:"username" comment:"Redis: ACL user."`
	PasswordFile    string   `toml:"password_file" comment:"Redis: file that holds the password, on one line."`
	KeyPrefix       string   `toml:"key_prefix" comment:"Redis: what every key begins with."`
}

// Admin is the table [admin].
type Admin struct {
	Listen Address `toml:"listen" comment:"HOST:PORT or another address as milter.listen takes it: /metrics, /healthz, /readyz."`
}

// HTTP is the table [http].
type HTTP struct {
	Listen     Address `toml:"listen" comment:"HOST:PORT or another address as milter.listen takes it."`
	BaseURL    string  `toml:"base_url" comment:"The URL under which readers reach it."`
	TokensFile string  `toml:"tokens_file" reload:"yes" comment:"File of bearer tokens, hashed, with their scopes; a relative one is beside the configuration file."`
	TLSCert    string  `toml:"tls_cert" comment:"File of the certificate chain; plain HTTP where empty."`
	TLSKey     string  `toml:"tls_key" comment:"File of the certificate's key."`
	MaxBody    Size    `toml:"max_body" min:"1" comment:"The largest request body taken."`
	Rate       int     `toml:"rate" min:"1" comment:"Requests a second that one client may make without a token."`

	TrustedProxies []string `toml:"trusted_proxies" comment:"Reverse proxies, as 192.0.2.0/24, whose X-Forwarded-For names the client; those of this host where empty."`
}

// LMTP is the table [lmtp].
type LMTP struct {
	Listen         Address  `toml:"listen" comment:"HOST:PORT or another address as milter.listen takes it."`
	Hostname       string   `toml:"hostname" default:"hostname" comment:"The name that the server gives itself."`
	MaxMessage     Size     `toml:"max_message" min:"1" comment:"The largest message taken (SIZE)."`
	MaxRecipients  int      `toml:"max_recipients" min:"1" comment:"Recipients of one transaction; RFC 5321 wants at least 100."`
	MaxConnections int      `toml:"max_connections" min:"1" comment:"Connections at once; further ones wait."`
	Timeout        Duration `toml:"timeout" min:"1" comment:"How long a client may be silent."`
	Domains        []Domain `toml:"domain"`
}

// Domain is one table [[lmtp.domain]].
type Domain struct {
	Domain  string `toml:"domain" comment:"Messages for TOKEN@domain are meant. One domain may stand in several tables, with a list each."`
	List    string `toml:"list" comment:"The list whose permalinks these are; an archive must hold it. TOKEN+LISTNAME@domain means the one with this local part, TOKEN@domain the first."`
	Deliver string `toml:"deliver" comment:"Where accepted messages go: maildir:/PATH or lmtp:HOST:PORT."`
}

// Default returns what an empty file means. The idle timeout is libmilter's:
// a shorter one would end sessions that Sendmail still waits in. The LMTP
// limits are the least that RFC 5321, section 4.5.3, allows.
func Default() *Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Config{
		Hostname: host,
		StateDir: stateDir(),
		Log:      Log{Level: "info", Format: "text"},
		Milter: Milter{Listen: []Address{"inet:127.0.0.1:8899"}, SocketMode: "0660", MaxConnections: 500, IdleTimeout: Duration(2 * time.Hour),
			MessageBudget: Duration(5 * time.Second), ShutdownBudget: Duration(10 * time.Second), MaxHeaderFields: 2000, MaxHeaderBytes: 1 << 20},
		Header: Header{Algorithm: "md5", Emit: []string{"Message-ID-MD5"}, Remove: []string{"X-Message-ID-Hash"},
			MissingMessageID: "derive", Unmatched: "hash", Identity: []string{"message-id", "date"}},
		Registry: Registry{URL: "bolt:permalinks.db", Timeout: Duration(500 * time.Millisecond), OnFailure: "stamp",
			JournalMaxBytes: 256 << 20, KeyPrefix: "permalink:"},
		HTTP: HTTP{MaxBody: 32 << 20, Rate: 20},
		LMTP: LMTP{MaxMessage: 64 << 20, MaxRecipients: 100, MaxConnections: 100, Timeout: Duration(5 * time.Minute)},
	}
}

// Example returns the configuration that example.toml shows: the defaults,
// and one of each table that may stand several times.
func Example() *Config {
	c := Default()
	c.Hostname, c.StateDir = "mx1.example.org", "/var/lib/permalink-milter"
	c.Archives = []Archive{{Name: "hyperkitty", Lists: []string{"*@lists.example.org"},
		URL: "https://lists.example.org/archives/list/{list}/message/{sha1}/", OnCollision: "suffix"}}
	c.LMTP.Domains = []Domain{{Domain: "archive.example.org", List: "devel@lists.example.org",
		Deliver: "maildir:/var/lib/permalink-milter/devel"}}
	return c
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
