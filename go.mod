module januscdr

go 1.26
