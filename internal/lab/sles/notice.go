package sles

import (
	"fmt"
	"strings"
)

// notice is an update notice (a patch, to zypper) for one package of an update
// channel.
type notice struct {
	id, title, severity, issued string
	pack                        pack
	cves, bugs                  []string
}

// notices are those of the release's update channel: a fix in apache2, which a
// root of the lab has, and one in openssh, which it still needs. Both are
// backports: the version stays what it was.
func (r release) notices() []notice {
	httpd := r.pick("CVE-2012-0883", "CVE-2013-1862", "CVE-2014-3583", "CVE-2015-3185")
	bug := r.pick("757710", "829056", "918352", "938723")
	sshd := r.pick("CVE-2012-0814", "CVE-2014-2532", "CVE-2014-2653", "CVE-2016-0777")
	sbug := r.pick("744643", "869101", "870532", "961642")
	date := r.pick("Wed May 16 2012", "Mon Jul 15 2013", "Tue Dec 02 2014", "Mon Jan 18 2016")
	issued := r.pick("1337126400", "1373846400", "1417478400", "1453075200")
	short := map[string]string{SLES: "sles", SLED: "sled"}[r.product] + r.pick("sp2", "sp3", "12", "12sp1")
	return []notice{
		{
			id: short + "-apache2", title: "Security update for Apache2", severity: "important", issued: issued,
			cves: []string{httpd, "CVE-2011-3607"}, bugs: []string{bug},
			pack: r.apache2(r.pick("2.2.12-1.36.1", "2.2.12-1.40.1", "2.4.10-6.1", "2.4.16-6.1"),
				change{date, "- fix " + httpd + " with httpd-" + httpd + ".diff [bnc#" + bug + "]"},
				change{"Thu Feb 02 2012", "- backported from 2.2.22: CVE-2011-3607, integer overflow [bnc#729181]"},
				change{"Tue Sep 06 2005", "- fix verification of client certificates, CAN-2005-2700 [#113701]"}),
		},
		{
			id: short + "-openssh", title: "Security update for OpenSSH", severity: "moderate", issued: issued,
			cves: []string{sshd}, bugs: []string{sbug},
			pack: r.openssh(r.pick("5.1p1-41.53.1", "5.1p1-41.57.1", "6.6p1-5.1", "6.6p1-33.1"),
				change{date, "- fix " + sshd + " [bnc#" + sbug + "]"}),
		},
	}
}

func (n notice) xml() string {
	var refs strings.Builder
	for _, c := range n.cves {
		fmt.Fprintf(&refs, "      <reference href=\"https://www.suse.com/security/cve/%s/\" id=%q title=%q type=\"cve\"/>\n", c, c, c)
	}
	for _, b := range n.bugs {
		fmt.Fprintf(&refs, "      <reference href=\"https://bugzilla.suse.com/show_bug.cgi?id=%s\" id=%q title=\"bug number %s\" type=\"bugzilla\"/>\n", b, b, b)
	}
	return fmt.Sprintf(`  <update from="maint-coord@suse.de" status="stable" type="security" version="1">
    <id>%s</id>
    <title>%s</title>
    <severity>%s</severity>
    <release>lab</release>
    <issued date="%s"/>
    <references>
%s    </references>
    <description>%s: %s.</description>
    <pkglist>
      <collection>
        <package name="%s" epoch="0" version="%s" release="%s" arch="noarch">
          <filename>%s</filename>
        </package>
      </collection>
    </pkglist>
  </update>
`, n.id, n.title, n.severity, n.issued, refs.String(), n.title, strings.Join(n.cves, ", "), n.pack.name, n.pack.version, n.pack.release, n.pack.rpm())
}

func updateInfo(notices []notice) string {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n")
	for _, n := range notices {
		b.WriteString(n.xml())
	}
	b.WriteString("</updates>\n")
	return b.String()
}
