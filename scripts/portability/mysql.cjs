// Holds statements to MySQL's grammar: takes a JSON list of texts, each of one statement or more,
// from standard input, and prints a JSON list of [statement, what is wrong with it].
// Its argument is the version of MySQL, as in 8.0.30.
const { readFileSync } = require('node:fs');
const { default: Parser } = require('ts-mysql-parser');

const parser = new Parser({ version: process.argv[2] });
const wrong = [];
for (const text of JSON.parse(readFileSync(0, 'utf8'))) {
    for (const statement of parser.splitStatements(text, '\n', ';')) {
        const { lexerError, parserError } = parser.parse(statement.text);
        const error = lexerError || parserError;
        if (error) {
            wrong.push([statement.text, error.message]);
        }
    }
}
process.stdout.write(JSON.stringify(wrong));
