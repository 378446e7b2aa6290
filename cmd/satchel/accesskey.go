package main

import (
	"fmt"
	"strings"

	"satchel/api"
	"satchel/api/client"
	"satchel/cmd/internal/cli"
)

type accessKeyCmd struct {
	Add    accessKeyAddCmd    `cmd:"" help:"Make an access key and print it with its secret."`
	List   accessKeyListCmd   `cmd:"" default:"1" help:"List the account's access keys."`
	Rotate accessKeyRotateCmd `cmd:"" help:"Replace a key's secret and print it."`
	Revoke accessKeyRevokeCmd `cmd:"" help:"End an access key."`
}

type accessKeyAddCmd struct {
	Name string `arg:"" optional:"" default:"S3" help:"The program, for people (${default})."`
}

func (cmd *accessKeyAddCmd) Run(sh *shell) error {
	if strings.TrimSpace(cmd.Name) == "" {
		return errNamelessProgram
	}
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	k, err := c.AddAccessKey(sh.ctx, cmd.Name)
	if err != nil {
		return err
	}
	return sh.printKey(k)
}

// printKey prints a pair as the lines that AWS's tools read from a profile.
func (sh *shell) printKey(k api.AccessKey) error {
	if !sh.json {
		fmt.Fprintln(sh.stderr, "the secret is shown this once; a lost one is replaced by: "+sh.command("access-key rotate", k.Key))
	}
	return sh.answer(k, "aws_access_key_id = %s\naws_secret_access_key = %s", k.Key, k.Secret)
}

type accessKeyListCmd struct{}

func (cmd *accessKeyListCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.AccessKeys(sh.ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return sh.answer(all, "there are no access keys\nmake one with: %s", sh.command("access-key add PROGRAM"))
	}
	return list(sh, all, "NAME\tKEY\tMADE\tSECRET OF\tLAST USED", func(k api.AccessKey) string {
		return strings.Join([]string{cli.Printable(k.Name), k.Key, stamp(k.Created), stamp(k.Rotated), everSeen(k.Seen)}, "\t")
	})
}

type accessKeyRotateCmd struct {
	Key string `arg:"" help:"The access key, or its name." complete:"access-key"`
}

func (cmd *accessKeyRotateCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := sh.findKey(c, cmd.Key)
	if err != nil {
		return err
	}
	k, err := c.RotateAccessKey(sh.ctx, found.Key)
	if err != nil {
		return err
	}
	return sh.printKey(k)
}

type accessKeyRevokeCmd struct {
	Key string `arg:"" help:"The access key, or its name." complete:"access-key"`
}

func (cmd *accessKeyRevokeCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := sh.findKey(c, cmd.Key)
	if err != nil {
		return err
	}
	if err := c.RevokeAccessKey(sh.ctx, found.Key); err != nil {
		return err
	}
	return sh.answer(map[string]string{"revoked": found.Key}, "revoked %q", cmd.Key)
}

// findKey is the access key that somebody names by itself or by its name.
func (sh *shell) findKey(c *client.Client, key string) (api.AccessKey, error) {
	all, err := c.AccessKeys(sh.ctx)
	if err != nil {
		return api.AccessKey{}, err
	}
	is := func(k api.AccessKey) bool { return k.Name == key || k.Key == key }
	return one(all, is, "access key", key, sh.command("access-key list"))
}
