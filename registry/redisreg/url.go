package redisreg

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The errors of parseURL. They do not quote the URL, because a password that is
// not escaped may be anywhere in it.
var (
	errScheme   = errors.New("write redis://, rediss://, unix://, or redis+sentinel://, redis+cluster:// and these with rediss")
	errUser     = errors.New("percent-encode all of user and password but letters and digits, or write the password into a file")
	errHost     = errors.New("write host:port, or several separated by commas for Sentinels and Cluster nodes")
	errPath     = errors.New("write unix:///path/of/socket, with ?db=1 for another database than 0")
	errDatabase = errors.New("write the database as a number, as redis://host:6379/0")
	errCluster  = errors.New("a Cluster has no databases: nothing may follow the hosts")
	errPrimary  = errors.New("write the primary's name behind the Sentinels, as redis+sentinel://host:26379/mymaster")
	errQuery    = errors.New("nothing may follow a question mark but db=1 of a unix:// URL")
)

// CheckURL returns an error for a URL that Open does not take.
func CheckURL(text string) error {
	_, _, err := parseURL(text)
	return err
}

// parseURL parses the forms listed at Options.URL.
func parseURL(text string) (o redis.UniversalOptions, useTLS bool, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if o.Username, o.Password, err = parseUser(authority[:at]); err != nil {
			return o, false, err
		}
	}
	if scheme == "unix" {
		return o, false, parseSocket(&o, hosts, path, query)
	}
	if query != "" {
		return o, false, errQuery
	}
	kind, useTLS := strings.CutPrefix(scheme, "rediss")
	if !useTLS {
		kind = strings.TrimPrefix(scheme, "redis")
	}
	if kind == scheme {
		return o, false, errScheme
	}
	return o, useTLS, parseHosts(&o, kind, hosts, path)
}

// parseHosts parses hosts and path. Kind is what follows redis or rediss in the
// scheme: nothing, "+sentinel" or "+cluster".
func parseHosts(o *redis.UniversalOptions, kind, hosts, path string) (err error) {
	port := "6379"
	switch kind {
	case "":
		if strings.Contains(hosts, ",") {
			return errHost
		}
		o.DB, err = parseDatabase(path)
	case "+sentinel":
		port = "26379"
		name, db, _ := strings.Cut(path, "/")
		if o.MasterName = name; name == "" {
			return errPrimary
		}
		o.DB, err = parseDatabase(db)
	case "+cluster":
		if path != "" {
			return errCluster
		}
		o.IsClusterMode = true
	default:
		return errScheme
	}
	if err != nil {
		return err
	}
	o.Addrs, err = parseAddrs(hosts, port)
	return err
}

func parseAddrs(hosts, port string) (addrs []string, err error) {
	for host := range strings.SplitSeq(hosts, ",") {
		if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
			host += ":" + port
		}
		name, number, err := net.SplitHostPort(host)
		if _, bad := strconv.ParseUint(number, 10, 16); err != nil || bad != nil || name == "" || strings.ContainsAny(name, "@/ \t\r\n") {
			return nil, errHost
		}
		addrs = append(addrs, host)
	}
	return addrs, nil
}

func parseSocket(o *redis.UniversalOptions, host, path, query string) (err error) {
	if host != "" || path == "" {
		return errPath
	}
	o.Addrs = []string{"/" + path}
	if query == "" {
		return nil
	}
	db, isDB := strings.CutPrefix(query, "db=")
	if !isDB {
		return errQuery
	}
	o.DB, err = parseDatabase(db)
	return err
}

func parseDatabase(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, errDatabase
	}
	return int(n), nil
}

func parseUser(text string) (user, password string, err error) {
	user, password, _ = strings.Cut(text, ":")
	user, err = url.PathUnescape(user)
	if err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", "", errUser
	}
	return user, password, nil
}
