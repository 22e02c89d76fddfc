package test

// plan is how servers of a product are made for the stories, and what an
// administrator does on a fresh machine before the restore.
type plan struct {
	product  string
	sortFlag string // flag of lab build that takes the sort
	// components are optional ones that the point has; portrait is the tool that
	// prints what must come back.
	components, portrait       string
	serverFlags, preparedFlags []string
	byHand                     func(l labs, sort string) error
}

var smtPlan = plan{
	product: "smt", sortFlag: "--schema", components: "package-tree: true", portrait: "portrait",
	serverFlags: []string{"--local", "--old-script"}, byHand: prepareSMT,
}

var opsiPlan = plan{
	product: "opsi", sortFlag: "--variant", components: "depot: true", portrait: "opsi-portrait",
	preparedFlags: []string{"--installed"}, byHand: prepareOpsi,
}

func prepareSMT(l labs, sort string) error {
	credentials, register := "/etc/zypp/credentials.d/SCCcredentials", "SUSEConnect"
	if sort < "3" {
		credentials, register = "/etc/zypp/credentials.d/NCCcredentials", "suse_register"
	}
	_, err := l.in("prepared", `
		mkdir -p /etc/zypp/credentials.d
		printf 'username=SCC_d91a7be2c1c5\npassword=9c0f5e1b2a\n' > `+credentials+`
		chmod 600 `+credentials+`
		`+register+`
		zypper --non-interactive patch || [ $? -eq 102 ]`)
	if err == nil {
		_, err = l.run("lab", "reboot", l.path("prepared"))
	}
	if err == nil {
		_, err = l.in("prepared", `
			zypper --non-interactive install smt
			yast2 smt-wizard
			zypper --non-interactive patch
			mysql smt -e "CREATE TABLE Fresh (ID INT PRIMARY KEY, TEXT VARCHAR(40)) ENGINE=InnoDB; INSERT INTO Fresh VALUES (1, 'of the fresh installation')
				; CREATE VIEW FreshView AS SELECT TEXT FROM Fresh"
			mkdir -p /srv/www/htdocs/repo/fresh
			echo fresh > /srv/www/htdocs/repo/fresh/file
			chown -R smt:www /srv/www/htdocs/repo
			echo fresh > /srv/www/htdocs/repo/tools/clientSetup4SMT.sh
			echo fresh > /var/lib/CAM/note`)
	}
	return err
}

// prepareOpsi needs little: opsi is installed, and set itself up as an empty server.
func prepareOpsi(l labs, sort string) error {
	text := `
		echo fresh > /etc/opsi/fresh.conf
		printf '[fresh.conf]\nbase = 1\n' > /etc/opsi/package-updater.repos.d/fresh.repo`
	if sort != "file" {
		text += `
		mysql opsi -e "CREATE TABLE FRESH (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO FRESH VALUES (1); UPDATE HOST SET notes = 'of the fresh installation'"`
	}
	if sort != "mysql" {
		text += `
		echo '[info]' > /var/lib/opsi/config/clients/fresh.example.com.ini`
	}
	_, err := l.in("prepared", text)
	return err
}
