package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// Manual is what the manual pages say beyond what the command line knows of
// itself.
type Manual struct {
	Section string // "1" for users' commands, "8" for the administrator's
	About   string // paragraphs
	Files   [][2]string
	Remains string   // after "3 when it was done but for what the message says: "; "": no command ends so
	SeeAlso []string // such as "satcheld(8)"
}

// Write writes the pages into a directory: one of the program, one of each
// command, such as satchel-mount.1, and one of each group of them, such as satchel-trash.1.
func (m Manual) Write(app *kong.Application, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, n := range Pages(app.Node) {
		page := m.page(app, n)
		if err := os.WriteFile(filepath.Join(dir, pageName(n)+"."+m.Section), []byte(page), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Pages are the commands that have a manual page: one and all below it, but for hidden ones.
func Pages(n *kong.Node) []*kong.Node {
	all := []*kong.Node{n}
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			all = append(all, Pages(child)...)
		}
	}
	return all
}

func pageName(n *kong.Node) string { return strings.ReplaceAll(n.FullPath(), " ", "-") }

// page is a manual page in man(7)'s language.
func (m Manual) page(app *kong.Application, n *kong.Node) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	heading := func(s string) { p(".SH %s", s) }

	p(`.TH %s %s "" Satchel "Satchel's manual"`, strings.ToUpper(pageName(n)), m.Section)
	heading("NAME")
	p(`%s \- %s`, roff(pageName(n)), roff(strings.TrimSuffix(n.Help, ".")))
	heading("SYNOPSIS")
	p(".B %s", roff(n.FullPath()))
	p("%s", roff(strings.TrimSpace(strings.TrimPrefix(n.Summary(), n.Path()))))
	heading("DESCRIPTION")
	if n == app.Node {
		for i, paragraph := range strings.Split(m.About, "\n\n") {
			if i > 0 {
				p(".PP")
			}
			p("%s", roff(paragraph))
		}
	} else {
		p("%s", roff(n.Help))
		if n.DefaultCmd != nil {
			p(".PP\n%s", roff(fmt.Sprintf("Without a command it is %s.", n.DefaultCmd.FullPath())))
		}
	}
	if below := Pages(n)[1:]; len(below) > 0 {
		heading("COMMANDS")
		for _, c := range below {
			if len(c.Children) == 0 {
				p(".TP\n.BR %s (%s)\n%s", roff(pageName(c)), m.Section, roff(c.Help))
			}
		}
	}
	if len(n.Positional) > 0 {
		heading("ARGUMENTS")
		for _, a := range n.Positional {
			p(".TP\n.I %s\n%s", roff(a.Name), roff(a.Help))
		}
	}
	heading("OPTIONS")
	for c := n; c != nil; c = c.Parent {
		for _, f := range c.Flags {
			if f.Hidden {
				continue
			}
			p(".TP\n.B %s\n%s", roff(f.String()), roff(f.Help))
			if len(f.Envs) > 0 {
				p("Environment: %s.", roff(strings.Join(f.Envs, ", ")))
			}
		}
		if c != n && c.Parent == nil {
			break
		}
	}
	if n == app.Node {
		heading("ENVIRONMENT AND CONFIGURATION")
		p("%s", roff("What is a setting, and not what a command shall do, can be given by the variable that the flag's description names, and in the configuration file by the flag's name: a line of flag = value. The command line comes first, then the environment, then the file."))
		if len(m.Files) > 0 {
			heading("FILES")
			for _, f := range m.Files {
				p(".TP\n.I %s\n%s", roff(f[0]), roff(f[1]))
			}
		}
	}
	if _, examples, ok := strings.Cut(n.Detail, "Examples:\n\n"); ok {
		heading("EXAMPLES")
		p(".nf\n%s\n.fi", roff(examples))
	}
	heading("EXIT STATUS")
	codes := "0 on success, 1 when it failed, 2 for wrong usage."
	if m.Remains != "" {
		codes = "0 on success, 1 when it failed, 2 for wrong usage, 3 when it was done but for what the message says: " + m.Remains
	}
	p("%s", roff(codes))
	heading("SEE ALSO")
	also := m.SeeAlso
	if n != app.Node {
		also = append([]string{fmt.Sprintf("%s(%s)", app.Name, m.Section)}, also...)
	}
	for i, s := range also {
		name, section, _ := strings.Cut(s, "(")
		comma := ""
		if i < len(also)-1 {
			comma = " ,"
		}
		p(".BR %s (%s%s", roff(name), section, comma)
	}
	return b.String()
}

// roff writes text so that it stands for itself.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	var b strings.Builder
	for line := range strings.Lines(s) {
		if line[0] == '.' || line[0] == '\'' {
			b.WriteString(`\&`)
		}
		b.WriteString(line)
	}
	return b.String()
}
