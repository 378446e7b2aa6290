package auth

import (
	"regexp"
	"strings"
)

// agents is how they begin: with a product and its version.
var agents = regexp.MustCompile(`^[A-Za-z][\w.-]*/[0-9]`)

// BrowserName makes a browser's and a system's name of what browsers say that they are (RFC 9110, section 10.1.5): "Firefox on
// Linux". Other names are left as they are.
func BrowserName(agent string) string {
	if !agents.MatchString(agent) {
		return agent
	}
	name, system := "", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrom", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}} {
		if name == "" && strings.Contains(agent, b[0]) {
			name = b[1]
		}
	}
	for _, o := range [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"Linux", "Linux"}} {
		if system == "" && strings.Contains(agent, o[0]) {
			system = o[1]
		}
	}
	switch {
	case name == "" && strings.HasPrefix(agent, "Mozilla/"):
		return "a web browser"
	case name == "":
		return agent
	case system == "":
		return name
	}
	return name + " on " + system
}
