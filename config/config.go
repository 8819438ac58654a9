// Package config reads the configuration file of permalink-milter. It holds
// every key, every default and every check that needs no I/O, and reports all
// problems of a file at once, each with its line, column and a hint.
//
// # How to use it
//
// [Load] returns a [Config] and its [Problems]:
//
//	c, problems := config.Load("/etc/permalink-milter/permalink-milter.toml")
//	if err := problems.Err(); err != nil {
//		return err // one line for each problem
//	}
//
// What only another package can judge is checked there, and the caller adds the
// error under its key with [Problems.Add] before it calls [Problems.Err]. These
// are the syntax of Redis URLs and the files of its password and certificates
// (package redisreg), the deliveries of LMTP (package lmtp), and the archive that
// holds the list of an [[lmtp.domain]] (package stamp).
//
// # The schema
//
// The structs below are the schema, from which the example, the manual page and
// README.md are generated. Each field has these tags:
//
//	toml     the key
//	comment  its meaning, for operators
//	oneof    the allowed values
//	min      the least allowed value
//	default  the default in words, if it depends on the host
//	reload   "yes" if SIGHUP applies a new value
//	path     "yes" for the path of a file, which may be relative to the configuration's
package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is the whole file. Every key has a default.
type Config struct {
	Hostname string    `toml:"hostname" reload:"yes" default:"the host's own name" comment:"The name of this host, used in generated Message-IDs and in replies."`
	StateDir string    `toml:"state_dir" path:"yes" default:"/var/lib/permalink-milter, or ~/.local/state/permalink-milter unless run by root" comment:"Directory of the embedded registry, of the journal, and of control.sock, by which the tool permalink asks the daemon. The default is systemd's StateDirectory= if there is one."`
	Log      Log       `toml:"log"`
	Milter   Milter    `toml:"milter"`
	Header   Header    `toml:"header"`
	Archives []Archive `toml:"archive"`
	Registry Registry  `toml:"registry"`
	Admin    Admin     `toml:"admin" comment:"Metrics and health checks. Off unless listen is set."`
	HTTP     HTTP      `toml:"http" comment:"API, resolver and web page. Off unless listen is set."`
	LMTP     LMTP      `toml:"lmtp" comment:"LMTP server that negotiates permalinks. Off unless listen is set."`
}

// Log is the table [log].
type Log struct {
	Level  string `toml:"level" reload:"yes" oneof:"debug info warn error" comment:"The least severe level that is logged: debug, info, warn or error. At info, each message is one line."`
	Format string `toml:"format" oneof:"text json" comment:"Format of the log: text or json."`
}

// Milter is the table [milter].
type Milter struct {
	Mode           string    `toml:"mode" reload:"yes" oneof:"stamp observe" comment:"stamp gives messages their permalinks. observe tries the configuration on live mail: it decides, logs and counts, and changes nothing, neither messages nor the registry."`
	Listen         []Address `toml:"listen" comment:"Addresses where MTAs connect: inet:HOST:PORT, inet6:[HOST]:PORT, unix:/PATH, or systemd:NAME for a socket that systemd passes."`
	SocketMode     string    `toml:"socket_mode" comment:"Permissions of unix sockets, in octal."`
	SocketOwner    string    `toml:"socket_owner" comment:"Owner of unix sockets. If empty, the user that runs the daemon."`
	SocketGroup    string    `toml:"socket_group" comment:"Group of unix sockets, which lets the MTA connect. If empty, the group of the daemon."`
	MaxConnections int       `toml:"max_connections" min:"1" comment:"Maximum number of connections from MTAs. Further connections wait, and idle ones give way to them."`
	IdleTimeout    Duration  `toml:"idle_timeout" min:"1" comment:"How long a connection may be idle. Must be longer than the MTA's own timeout."`
	MessageBudget  Duration  `toml:"message_budget" min:"1" comment:"Time limit of all registry calls for one message. Must be shorter than the MTA's own timeout."`
	ListFieldsFrom []string  `toml:"list_fields_from" reload:"yes" comment:"Clients whose List-Post and List-Id name the list of a message: addresses and networks, such as 127.0.0.0/8 and ::1, and authenticated for those that logged in. From others these fields do not count, as if they were missing. If empty, they count from everyone."`
	ShutdownBudget Duration  `toml:"shutdown_budget" min:"1" comment:"How long the daemon waits for messages in progress after SIGTERM."`
}

// Authenticated is the entry of milter.list_fields_from for clients that logged
// in.
const Authenticated = "authenticated"

// Header is the table [header].
type Header struct {
	Algorithm        string   `toml:"algorithm" reload:"yes" comment:"Hash algorithm of tokens and of {hash} in templates: md5, sha1 or sha256."`
	Emit             []string `toml:"emit" reload:"yes" comment:"Hash fields to add: Message-ID-MD5, Message-ID-SHA1, Message-ID-SHA256, one of these after a prefix such as List-, or Message-ID-Hash for older archivers."`
	Remove           []string `toml:"remove" reload:"yes" comment:"Hash fields to delete. They are never added."`
	MissingMessageID string   `toml:"missing_message_id" reload:"yes" oneof:"derive generate skip" comment:"What a message without a Message-ID gets: derive adds one computed from its originator fields, generate adds a random one, skip adds none."`
	Unmatched        string   `toml:"unmatched" reload:"yes" oneof:"hash skip" comment:"What a message gets that is for none of the archives: hash adds the hash fields, skip adds nothing."`
	Identity         []string `toml:"identity" reload:"yes" comment:"Fields that distinguish messages with the same hash: any of from, to, cc, date, message-id and subject."`
}

// Archive is one table [[archive]].
type Archive struct {
	Name        string   `toml:"name" reload:"yes" comment:"Name of the archive in the log. Must be unique."`
	Lists       []string `toml:"lists" reload:"yes" comment:"Glob patterns of the addresses of its lists, such as *@lists.example.org."`
	Except      []string `toml:"except" default:"the list manager's own addresses" reload:"yes" comment:"Glob patterns of addresses that lists must not match. Without the key: those that a list manager uses beside a list's own, such as *-bounces@* and *-request+*@*."`
	List        string   `toml:"list" reload:"yes" comment:"List of the messages that name no list. May be empty."`
	URL         string   `toml:"url" reload:"yes" comment:"Template of its permalinks, with {token} {hash} {md5} {sha1} {sha256} {message_id} {list} {listname} {host} {list_id} {claim} {year} {month}. {NAME:FORM} writes a value in another form: base32, base64url or hex for a digest, path or query for text. {sha1(message_id,listname)} digests several values."`
	Target      string   `toml:"target" reload:"yes" comment:"Template of the URLs to which the resolver of [http] redirects, if url is that of the resolver itself. Permalinks then survive a move of the archive. If empty, url."`
	OnCollision string   `toml:"on_collision" reload:"yes" oneof:"suffix share" comment:"What a second message with the same hash gets: suffix gives it HASH-2; share gives it HASH too, for archivers that keep one message per Message-ID. Lists of an [[lmtp.domain]] need suffix."`
}

// Registry is the table [registry].
type Registry struct {
	URL             string   `toml:"url" comment:"The registry: bolt:FILE (a relative FILE is in state_dir), a Redis URL that begins with redis:// rediss:// unix:// redis+sentinel:// rediss+sentinel:// redis+cluster:// or rediss+cluster://, or memory: for a trial."`
	Timeout         Duration `toml:"timeout" min:"1" comment:"Time limit of one registry call."`
	ReservationTTL  Duration `toml:"reservation_ttl" comment:"A reservation that no archiver confirms expires after this time, and is removed a day later. If 0s, never."`
	OnFailure       string   `toml:"on_failure" oneof:"stamp tempfail accept" comment:"What a message gets while the registry does not answer: stamp adds the permalink of the bare hash and journals the reservation, tempfail answers 451 4.7.1, accept adds nothing."`
	JournalMaxBytes Size     `toml:"journal_max_bytes" min:"1" comment:"Maximum size of the journal of reservations that wait for the registry."`
	MinReplicas     int      `toml:"min_replicas" min:"0" comment:"Redis: number of replicas that must acknowledge a reservation (WAIT)."`
	TLSCA           string   `toml:"tls_ca" path:"yes" comment:"Redis: file of the CA certificate that signed the server's. If empty, the CAs of the system."`
	TLSCert         string   `toml:"tls_cert" path:"yes" comment:"Redis: file of the client certificate. Requires tls_key."`
	TLSKey          string   `toml:"tls_key" path:"yes" comment:"Redis: file of the key of the client certificate."`
	Username        string   `toml:"username" comment:"Redis: name of the ACL user."`
	PasswordFile    string   `toml:"password_file" path:"yes" reload:"yes" comment:"Redis: file whose first line is the password."`
	KeyPrefix       string   `toml:"key_prefix" comment:"Redis: prefix of all keys."`
}

// Admin is the table [admin].
type Admin struct {
	Listen Address `toml:"listen" comment:"Address of /metrics, /healthz and /readyz: HOST:PORT, or any address that milter.listen allows."`
}

// HTTP is the table [http].
type HTTP struct {
	Listen         Address   `toml:"listen" comment:"Address of the server: HOST:PORT, or any address that milter.listen allows."`
	BaseURL        string    `toml:"base_url" comment:"The URL by which clients reach the server."`
	TokensFile     string    `toml:"tokens_file" path:"yes" reload:"yes" comment:"File of the hashed bearer tokens and their scopes."`
	TLSCert        string    `toml:"tls_cert" path:"yes" reload:"yes" comment:"File of the certificate chain. If empty, the server speaks plain HTTP."`
	TLSKey         string    `toml:"tls_key" path:"yes" reload:"yes" comment:"File of the key of the certificate."`
	MaxConnections int       `toml:"max_connections" min:"1" comment:"Maximum number of connections from clients. Further connections wait, and idle ones give way to them."`
	MaxBody        Size      `toml:"max_body" min:"1" comment:"Maximum size of the body of a request with a token. Without one, it is 64 KiB."`
	Rate           int       `toml:"rate" min:"1" comment:"Requests per second that a client without a token may make."`
	TrustedProxies []Network `toml:"trusted_proxies" comment:"Addresses or networks of reverse proxies whose X-Forwarded-For names the client. If empty, those on this host."`
}

// LMTP is the table [lmtp].
type LMTP struct {
	Listen         Address  `toml:"listen" comment:"Address of the server: HOST:PORT, or any address that milter.listen allows."`
	Hostname       string   `toml:"hostname" default:"hostname" comment:"Name of the server in its replies."`
	MaxMessage     Size     `toml:"max_message" min:"1" comment:"Maximum size of a message (SIZE)."`
	MaxRecipients  int      `toml:"max_recipients" min:"1" comment:"Maximum number of recipients of one transaction. RFC 5321 requires at least 100."`
	MaxConnections int      `toml:"max_connections" min:"1" comment:"Maximum number of connections from clients. Further connections wait, and idle ones give way to them."`
	Timeout        Duration `toml:"timeout" min:"1" comment:"How long the server waits for the client."`
	Domains        []Domain `toml:"domain"`
}

// Domain is one table [[lmtp.domain]].
type Domain struct {
	Domain  string `toml:"domain" comment:"Domain of the recipients TOKEN@domain. Several tables may have the same domain and different lists."`
	List    string `toml:"list" comment:"List of these recipients, which an archive must hold. TOKEN+LISTNAME@domain means the list with this local part, TOKEN@domain means the first list of the domain."`
	Deliver string `toml:"deliver" comment:"Where accepted messages go: maildir:/PATH, lmtp:HOST:PORT or lmtp:unix:/PATH."`
}

// Default returns the configuration of an empty file. The idle timeout is
// libmilter's, because a shorter one would end sessions that Sendmail keeps
// open. The recipients of LMTP are the fewest that RFC 5321, section 4.5.3.1.8,
// allows.
func Default() *Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Config{
		Hostname: host,
		StateDir: stateDir(),
		Log:      Log{Level: "info", Format: "text"},
		Milter: Milter{Mode: "stamp", Listen: []Address{"inet:127.0.0.1:8899"}, SocketMode: "0660", MaxConnections: 500, IdleTimeout: Duration(2 * time.Hour),
			MessageBudget: Duration(5 * time.Second), ShutdownBudget: Duration(10 * time.Second)},
		Header: Header{Algorithm: "md5", Emit: []string{"Message-ID-MD5"}, Remove: []string{"X-Message-ID-Hash"},
			MissingMessageID: "derive", Unmatched: "hash", Identity: []string{"message-id", "date"}},
		Registry: Registry{URL: "bolt:permalinks.db", Timeout: Duration(500 * time.Millisecond), OnFailure: "stamp",
			JournalMaxBytes: 256 << 20, KeyPrefix: "permalink:"},
		HTTP: HTTP{MaxConnections: 1000, MaxBody: 32 << 20, Rate: 20},
		LMTP: LMTP{MaxMessage: 64 << 20, MaxRecipients: 100, MaxConnections: 100, Timeout: Duration(5 * time.Minute)},
	}
}

// DefaultExcept returns the default of archive.except: the addresses that list
// managers use beside a list's own. Mail to them is not a post, and mail from
// them is a list manager's own. Those of Mailman may have a +detail, those of
// mlmmj a -detail, which may be a cookie; where it encodes a subscriber's
// address, it has a = in place of the @.
func DefaultExcept() (patterns []string) {
	for _, suffix := range []string{"bounces", "request", "owner", "join", "leave", "subscribe", "unsubscribe", "confirm"} {
		patterns = append(patterns, "*-"+suffix+"@*", "*-"+suffix+"+*@*")
	}
	for _, suffix := range []string{"bounces", "owner", "help", "faq", "list", "get", "subscribe", "unsubscribe", "confsub", "confunsub",
		"moderate", "release", "reject", "permit", "obstruct"} {
		patterns = append(patterns, "*+"+suffix+"@*", "*+"+suffix+"-*@*")
	}
	return append(patterns, "*=*@*")
}

// Example returns the configuration of example.toml: the defaults, and one of
// each table that may occur several times.
func Example() *Config {
	c := Default()
	c.Hostname, c.StateDir = "mx1.example.org", "/var/lib/permalink-milter"
	c.Archives = []Archive{{Name: "hyperkitty", Lists: []string{"*@lists.example.org"}, Except: DefaultExcept(),
		URL: "https://lists.example.org/archives/list/{list}/message/{sha1}/", OnCollision: "suffix"}}
	c.LMTP.Domains = []Domain{{Domain: "archive.example.org", List: "devel@lists.example.org",
		Deliver: "maildir:/var/lib/permalink-milter/devel"}}
	return c
}

// stateDir returns the directory that systemd provides, else the one for root
// or for the user.
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
