package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// SASL says who we are. Files are read at each login, so that what is in them may be renewed.
type SASL struct {
	Mechanism    string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM
	User         string // of AWS the access key; OAUTHBEARER has none
	Password     string // of AWS the secret key
	PasswordFile string // wins over Password
	TokenFile    string // OAUTHBEARER: a bearer token; AWS: a session token, for credentials that have one
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	name := strings.ToUpper(s.Mechanism)
	if s.User == "" && name != "OAUTHBEARER" {
		return nil, errors.New("sasl user is missing")
	}
	switch name {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.password()
			return plain.Auth{User: s.User, Pass: password}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(s.scram), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(s.scram), nil
	case "OAUTHBEARER":
		if s.TokenFile == "" {
			return nil, errors.New("sasl token file is missing")
		}
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := secretOf(s.TokenFile)
			return oauth.Auth{Token: token}, err
		}), nil
	case "AWS_MSK_IAM":
		return aws.ManagedStreamingIAM(func(context.Context) (aws.Auth, error) {
			secret, err := s.password()
			if err != nil || s.TokenFile == "" {
				return aws.Auth{AccessKey: s.User, SecretKey: secret}, err
			}
			token, err := secretOf(s.TokenFile)
			return aws.Auth{AccessKey: s.User, SecretKey: secret, SessionToken: token}, err
		}), nil
	}
	return nil, fmt.Errorf("sasl mechanism %q is unknown: use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or "+
		"AWS_MSK_IAM", s.Mechanism)
}

func (s *SASL) scram(context.Context) (scram.Auth, error) {
	password, err := s.password()
	return scram.Auth{User: s.User, Pass: password}, err
}

func (s *SASL) password() (string, error) {
	if s.PasswordFile == "" {
		return s.Password, nil
	}
	return secretOf(s.PasswordFile)
}

// secretOf is what a file holds, without the end of the line.
func secretOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a secret for kafka: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read a secret for kafka: %s is empty", file)
	}
	return secret, nil
}
