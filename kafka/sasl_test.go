package kafka

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsForKafkaAreReadAtEachLogin(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password, token := file("password", "one\n"), file("token", "t-one")
	for _, scene := range []struct {
		login       SASL
		first, next string // that stand in what is said first, before and after the files were renewed
	}{
		{SASL{Mechanism: "PLAIN", User: "u", Password: "given"}, "\x00u\x00given", "\x00u\x00given"},
		{SASL{Mechanism: "PLAIN", User: "u", PasswordFile: password}, "\x00u\x00one", "\x00u\x00two"},
		{SASL{Mechanism: "SCRAM-SHA-512", User: "u", PasswordFile: password}, "n=u,", "n=u,"}, // the password is never said
		{SASL{Mechanism: "oauthbearer", TokenFile: token}, "auth=Bearer t-one\x01", "auth=Bearer t-two\x01"},
		{SASL{Mechanism: "AWS_MSK_IAM", User: "AKIA", PasswordFile: password, TokenFile: token},
			`"x-amz-security-token":"t-one"`, `"x-amz-security-token":"t-two"`},
		{SASL{Mechanism: "AWS_MSK_IAM", User: "AKIA", Password: "s"}, `"x-amz-credential":"AKIA/`,
			`"x-amz-credential":"AKIA/`},
	} {
		file("password", "one\n")
		file("token", "t-one")
		mechanism, err := scene.login.mechanism()
		if err != nil {
			t.Errorf("%+v: %v", scene.login, err)
			continue
		}
		for _, want := range []string{scene.first, scene.next} {
			_, said, err := mechanism.Authenticate(t.Context(), "b-1.kafka.eu-central-1.amazonaws.com:9098")
			if err != nil || !strings.Contains(string(said), want) {
				t.Errorf("%s says %q, %v, want %q in it", mechanism.Name(), said, err, want)
			}
			file("password", "two")
			file("token", "t-two\r\n")
		}
		for _, gone := range []string{password, token} {
			if err := os.Remove(gone); err != nil {
				t.Fatal(err)
			}
		}
		_, said, err := mechanism.Authenticate(t.Context(), "b-1.kafka.eu-central-1.amazonaws.com:9098")
		if reads := scene.login.PasswordFile+scene.login.TokenFile != ""; reads != (err != nil) {
			t.Errorf("%s without its files says %q, %v", mechanism.Name(), said, err)
		}
	}
}
