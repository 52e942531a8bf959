// The shim that BoGo's runner starts for each test. It hands its arguments to the process that holds Wassl, by the
// socket named in BOGO_SOCKET, and ends as that says.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
)

func main() {
	// Asked once, before the first test.
	for _, arg := range os.Args[1:] {
		if arg == "-is-handshaker-supported" {
			fmt.Println("No")
			return
		}
	}
	conn, err := net.Dial("unix", os.Getenv("BOGO_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var answer struct {
		Code   int
		Stderr string
	}
	if err := json.NewEncoder(conn).Encode(os.Args[1:]); err == nil {
		err = json.NewDecoder(conn).Decode(&answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprint(os.Stderr, answer.Stderr)
	os.Exit(answer.Code)
}
