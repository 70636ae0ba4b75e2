package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// life is a span in calendar units.
func life(dst *Life, least, most Life) value {
	return parsed(dst, fmt.Sprintf("a span from %s to %s such as \"2y\", \"14d\" or \"30m\" (y, mo, d, h, m, s, ms)", least, most),
		func(s string) (Life, error) {
			l, err := ParseLife(s)
			if err == nil && (longer(least, l) || longer(l, most)) {
				err = fmt.Errorf("%q is out of range", s)
			}
			return l, err
		}, Life.String)
}

// duration is a span of seconds that knows no calendar.
func duration(dst *time.Duration, least, most time.Duration) value {
	return parsed(dst, fmt.Sprintf("a span from %s to %s such as \"1d\", \"30m\" or \"10s\" (d, h, m, s, ms)", Life{Rest: least}, Life{Rest: most}),
		func(s string) (time.Duration, error) {
			d, err := parseDuration(s)
			if err == nil && (d < least || d > most) {
				err = fmt.Errorf("%q is out of range", s)
			}
			return d, err
		}, func(d time.Duration) string { return Life{Rest: d}.String() })
}

// size is a number of bytes.
func size(dst *int64, least, most int64) value {
	return parsed(dst, fmt.Sprintf("a size from %s to %s such as \"64KiB\", \"4MiB\" or \"2GiB\"", showSize(least), showSize(most)),
		func(s string) (int64, error) {
			n, err := parseSize(s)
			if err == nil && (n < least || n > most) {
				err = fmt.Errorf("%q is out of range", s)
			}
			return n, err
		}, showSize)
}

// logLevel is a level of slog.
func logLevel(dst *slog.Level) value {
	names := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return parsed(dst, quotedList([]string{"debug", "info", "warn", "error"}), func(s string) (slog.Level, error) {
		l, ok := names[s]
		if !ok {
			return 0, fmt.Errorf("%q is not known", s)
		}
		return l, nil
	}, func(l slog.Level) string { return strings.ToLower(l.String()) })
}

const listenAllowed = `an IP address and port such as "127.0.0.1:8443", "[::1]:8443", or ":8443" for every address of the machine`

// listen is a TCP address to listen on. Names are refused, since they may
// resolve to an address that nobody meant to open.
func listen(dst *string) value { return parsed(dst, listenAllowed, parseListen, same) }

// optionalListen may also be empty, for no listener.
func optionalListen(dst *string) value {
	return parsed(dst, listenAllowed+`, or ""`, func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return parseListen(s)
	}, same)
}

func parseListen(s string) (string, error) {
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not an address and port", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	if name != "" {
		if _, err := netip.ParseAddr(name); err != nil {
			return "", fmt.Errorf("%q is not an IP address", name)
		}
	}
	return s, nil
}

// host is one DNS name or IP address.
func host(dst *string) value { return parsed(dst, "a host name or IP address", parseHost, same) }

// hosts is a list of DNS names or IP addresses with at least one element.
func hosts(dst *[]string) value {
	v := listed(dst, "a list of at least one host name", func(raw any) (string, error) {
		s, err := text(raw)
		if err != nil {
			return "", err
		}
		return parseHost(s)
	}, quoted)
	read := v.read
	v.read = func(raw any, at place) error {
		if items, ok := raw.([]any); ok && len(items) == 0 {
			return errors.New("is empty")
		}
		return read(raw, at)
	}
	return v
}

// parseHost accepts names of letters, digits and hyphens (RFC 1123, section
// 2.1) and gives them in lower case.
func parseHost(s string) (string, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	wrong := fmt.Errorf("%q is not a host name", s)
	if len(s) == 0 || len(s) > 253 {
		return "", wrong
	}
	name := strings.ToLower(s)
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", wrong
		}
	}
	return name, nil
}

// baseURL is scheme, host and port, perhaps with a path, without a slash at the end.
func baseURL(dst *string, scheme string) value {
	return parsed(dst, fmt.Sprintf("a URL such as %q", scheme+"://sealwright.example.org"), func(s string) (string, error) {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Opaque != "":
			return "", fmt.Errorf("%q is not a URL", s)
		case u.Scheme != scheme:
			return "", fmt.Errorf("%q does not begin with %s://", s, scheme)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
			return "", errors.New("has a user, query or fragment")
		}
		if _, err := parseHost(u.Hostname()); err != nil {
			return "", err
		}
		if p := u.Port(); p != "" {
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
				return "", fmt.Errorf("port %q is not a number from 1 to 65535", p)
			}
		}
		return strings.TrimRight(s, "/"), nil
	}, same)
}

// prefixes is a list of IP ranges. A range of nearly everything is a mistake:
// it would switch off the protection that it is an exception from.
func prefixes(dst *[]netip.Prefix) value {
	return listed(dst, `a list of IP ranges such as ["10.0.0.0/8"], at most a /8 (IPv6: a /7) each`, func(raw any) (netip.Prefix, error) {
		s, err := text(raw)
		if err != nil {
			return netip.Prefix{}, err
		}
		p, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || p.Addr().Is4In6():
			return netip.Prefix{}, fmt.Errorf("%q is not an IP range", s)
		case p.Masked() != p:
			return netip.Prefix{}, fmt.Errorf("%q has bits behind its length; %s is the range", s, p.Masked())
		case p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 7:
			return netip.Prefix{}, fmt.Errorf("%q is too wide", s)
		}
		return p, nil
	}, func(p netip.Prefix) string { return strconv.Quote(p.String()) })
}

// mailAddress is an RFC 5322 address with or without a name.
func mailAddress(dst *string) value {
	return parsed(dst, `an e-mail address such as "Sealwright <no-reply@example.org>"`, func(s string) (string, error) {
		if _, err := mail.ParseAddress(s); err != nil {
			return "", fmt.Errorf("%q is not an e-mail address", s)
		}
		return s, nil
	}, same)
}

// messageTemplate is text for [ParseTemplate].
func messageTemplate(dst *string) value {
	return parsed(dst, "text with {{.To}} and {{.Text}}, encoded by json or urlquery where needed", func(s string) (string, error) {
		if _, err := ParseTemplate(s); err != nil {
			return "", err
		}
		return s, nil
	}, same)
}

// A Message is what the templates of [SMS] see.
type Message struct {
	To   string // mobile number in E.164 form, such as +4512345678
	Text string
}

// ParseTemplate reads a template of [SMS]. Execute it with a [Message]. The
// functions are json, which gives a quoted JSON string, and those of
// text/template, urlquery among them. A template from a loaded [Config] parses.
func ParseTemplate(s string) (*template.Template, error) {
	t, err := template.New("message").Funcs(template.FuncMap{"json": jsonString}).Parse(s)
	if err != nil {
		return nil, fmt.Errorf("is not a template: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	// A trial finds fields that do not exist, before the first real message does.
	if err := t.Execute(new(bytes.Buffer), Message{To: "+4500000000", Text: "trial"}); err != nil {
		return nil, fmt.Errorf("fails when used: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return t, nil
}

func jsonString(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// names is a list of DNS names, which may be empty.
func names(dst *[]string) value {
	return listed(dst, `a list of host names such as ["ca.example.org"]`, func(raw any) (string, error) {
		s, err := text(raw)
		if err != nil {
			return "", err
		}
		return parseHost(s)
	}, quoted)
}

// addresses is a list of IP addresses.
func addresses(dst *[]netip.Addr) value {
	return listed(dst, `a list of IP addresses such as ["198.41.0.4"]`, func(raw any) (netip.Addr, error) {
		s, err := text(raw)
		if err != nil {
			return netip.Addr{}, err
		}
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
		}
		return a, nil
	}, func(a netip.Addr) string { return strconv.Quote(a.String()) })
}

// paths is a list of files or directories.
func paths(dst *[]string) value {
	v := listed(dst, "a list of files or directories", nil, quoted)
	v.read = func(raw any, at place) error {
		items, ok := raw.([]any)
		if !ok {
			return errors.New("is " + typeName(raw) + ", not a list")
		}
		var all []string
		for _, item := range items {
			var one string
			if err := path(&one, false).read(item, at); err != nil {
				return err
			}
			all = append(all, one)
		}
		*dst = all
		return nil
	}
	return v
}
