package repository

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// encode gives the bytes whose hash is the tree's ID: what encoding/json makes of
// the same tree, without its detours, which were a quarter of a backup of
// unchanged files. The closing line feed is how other writers of the format end a
// tree.
func (t *Tree) encode() ([]byte, error) {
	const usual = 512 // bytes of a node
	text := make([]byte, 0, 16+usual*len(t.Nodes))
	text = append(text, `{"nodes":[`...)
	var err error
	for i, n := range t.Nodes {
		text = append(text, separator(i, "")...)
		if text, err = n.appendJSON(text); err != nil {
			return nil, err
		}
	}
	return append(text, "]}\n"...), nil
}

// MarshalJSON writes a node as the format has it. Names may hold any byte but
// JSON only Unicode, so the name is written with Go's quoting inside the JSON
// string. Years that RFC 3339 cannot express are moved to the nearest it can.
func (n Node) MarshalJSON() ([]byte, error) { return n.appendJSON(nil) }

// appendJSON appends the fields in the order of the struct.
func (n *Node) appendJSON(text []byte) ([]byte, error) {
	text = appendString(append(text, `{"name":`...), quoteName(n.Name))
	text = appendString(append(text, `,"type":`...), string(n.Type))
	number := func(key string, value uint64) {
		if value != 0 {
			text = strconv.AppendUint(append(text, key...), value, 10)
		}
	}
	word := func(key, value string) {
		if value != "" {
			text = appendString(append(text, key...), value)
		}
	}
	number(`,"mode":`, uint64(n.Mode))
	var err error
	if text, err = n.appendTimes(text); err != nil {
		return nil, err
	}
	text = strconv.AppendUint(append(text, `,"uid":`...), uint64(n.UID), 10)
	text = strconv.AppendUint(append(text, `,"gid":`...), uint64(n.GID), 10)
	word(`,"user":`, n.User)
	word(`,"group":`, n.Group)
	number(`,"inode":`, n.Inode)
	number(`,"device_id":`, n.DeviceID)
	number(`,"size":`, n.Size)
	number(`,"links":`, n.Links)
	word(`,"linktarget":`, n.LinkTarget)
	raw := n.LinkTargetRaw
	if n.Type == Symlink && !utf8.ValidString(n.LinkTarget) {
		raw = []byte(n.LinkTarget)
	}
	if len(raw) > 0 {
		text = appendBytes(append(text, `,"linktarget_raw":`...), raw)
	}
	for i, a := range n.ExtendedAttributes {
		text = append(text, separator(i, `,"extended_attributes":[`)...)
		text = appendString(append(text, `{"name":`...), a.Name)
		text = append(appendBytes(append(text, `,"value":`...), a.Value), '}')
	}
	if len(n.ExtendedAttributes) > 0 {
		text = append(text, ']')
	}
	number(`,"device":`, n.Device)
	if n.Content == nil {
		text = append(text, `,"content":null`...)
	} else {
		text = append(text, `,"content":[`...)
		for i, id := range n.Content {
			text = appendID(append(text, separator(i, "")...), id)
		}
		text = append(text, ']')
	}
	if n.Subtree != nil {
		text = appendID(append(text, `,"subtree":`...), *n.Subtree)
	}
	return append(text, '}'), nil
}

func (n *Node) appendTimes(text []byte) (_ []byte, err error) {
	moment := func(t time.Time) (from, to int) {
		if err == nil {
			from = len(text) + 1
			text, err = representable(t).AppendText(append(text, '"'))
			to = len(text)
			text = append(text, '"')
		}
		return from, to
	}
	text = append(text, `,"mtime":`...)
	from, to := moment(n.ModTime)
	text = append(text, `,"atime":`...)
	if err == nil && n.AccessTime == n.ModTime { // as newNode sets it
		text = append(append(append(text, '"'), text[from:to]...), '"')
	} else {
		moment(n.AccessTime)
	}
	text = append(text, `,"ctime":`...)
	moment(n.ChangeTime)
	return text, err
}

// plainByte tells the bytes that encoding/json leaves as they are in a string.
var plainByte = func() (plain [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return plain
}()

func appendString(text []byte, s string) []byte {
	for i := range len(s) {
		if !plainByte[s[i]] {
			quoted, _ := json.Marshal(s) // a string has no error
			return append(text, quoted...)
		}
	}
	return append(append(append(text, '"'), s...), '"')
}

// appendBytes appends bytes as encoding/json does.
func appendBytes(text, b []byte) []byte {
	if b == nil {
		return append(text, "null"...)
	}
	return append(base64.StdEncoding.AppendEncode(append(text, '"'), b), '"')
}

func appendID(text []byte, id ID) []byte {
	return append(hex.AppendEncode(append(text, '"'), id[:]), '"')
}
