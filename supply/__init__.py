"""What the service is made of, besides its own code: licences, known vulnerabilities, the bill of materials."""
