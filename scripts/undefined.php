<?php

declare(strict_types=1);

// phpcs:disable PSR1 -- a script
// php scripts/undefined.php FILE...
//
// Prints what the files use that does not exist (classes, methods, properties, constants, parameters), and
// calls with too few or too many arguments. It follows parameters, properties and results whose type is one
// class. `@phpstan-ignore-line` leaves a line out.

use PhpParser\Node;
use PhpParser\Node\Expr;
use PhpParser\Node\Stmt;
use PhpParser\NodeTraverser;
use PhpParser\NodeVisitor\NameResolver;
use PhpParser\NodeVisitorAbstract;
use PhpParser\Parser;
use PhpParser\ParserFactory;

require __DIR__ . '/../simulator/stack/laravel_app/bootstrap/autoload.php';
require 'PHPUnit/Autoload.php'; // and with it PhpParser

final class Undefined extends NodeVisitorAbstract
{
    /** PHPUnit has these from version 10 on; before, nobody reads them. */
    private const ATTRIBUTES = 'PHPUnit\\Framework\\Attributes\\';

    /** @var list<string> */
    public array $found = [];

    private string $file;

    /** @var list<string> */
    private array $lines;

    /** @var list<?ReflectionClass> the classes around; null for one without a name */
    private array $classes = [];

    /** @var list<array<string, string>> classes of the parameters, by the functions around */
    private array $scopes = [];

    public function check(string $file): void
    {
        $text = file_get_contents($file);
        [$this->file, $this->lines] = [$file, explode("\n", $text)];
        $traverser = new NodeTraverser();
        $traverser->addVisitor(new NameResolver());
        $traverser->addVisitor($this);
        $traverser->traverse(self::parser()->parse($text));
    }

    private static function parser(): Parser
    {
        $factory = new ParserFactory();

        // PhpParser 5, and what it was before.
        return method_exists($factory, 'createForNewestSupportedVersion')
            ? $factory->createForNewestSupportedVersion()
            : $factory->create(ParserFactory::PREFER_PHP7);
    }

    public function enterNode(Node $node)
    {
        if ($node instanceof Stmt\ClassLike) {
            $this->classes[] = isset($node->namespacedName) ? self::reflect((string) $node->namespacedName) : null;
        } elseif ($node instanceof Node\FunctionLike) {
            $this->scopes[] = $this->scope($node);
        }

        return null;
    }

    public function leaveNode(Node $node)
    {
        if ($node instanceof Stmt\ClassLike) {
            array_pop($this->classes);
        } elseif ($node instanceof Node\FunctionLike) {
            array_pop($this->scopes);
        } elseif ($node instanceof Node\Name\FullyQualified) {
            $this->checkClass($node);
        } elseif ($node instanceof Expr\New_ && $node->class instanceof Node\Name) {
            $this->checkCall($this->named($node->class), '__construct', $node);
        } elseif ($node instanceof Expr\MethodCall || $node instanceof Expr\NullsafeMethodCall) {
            $this->checkCall($this->typeOf($node->var), $node->name, $node);
        } elseif ($node instanceof Expr\StaticCall && $node->class instanceof Node\Name) {
            $this->checkCall($this->named($node->class), $node->name, $node);
        } elseif ($node instanceof Expr\PropertyFetch && $node->name instanceof Node\Identifier) {
            $this->checkMember($this->typeOf($node->var), 'hasProperty', '__get', (string) $node->name, $node);
        } elseif ($node instanceof Expr\ClassConstFetch && $node->class instanceof Node\Name) {
            if ($node->name instanceof Node\Identifier && (string) $node->name !== 'class') {
                $this->checkMember($this->named($node->class), 'hasConstant', '', (string) $node->name, $node);
            }
        }

        return null;
    }

    private function checkClass(Node\Name $name): void
    {
        $text = $name->toString();
        if (str_starts_with($text, self::ATTRIBUTES)) {
            return;
        }
        $exists = class_exists($text) || interface_exists($text) || trait_exists($text);
        // A function or a constant is a name of this kind too.
        if (! $exists && ! function_exists($text) && ! defined($text)) {
            $this->report($name, "there is no {$text}");
        }
    }

    private function checkMember(?ReflectionClass $class, string $has, string $magic, string $name, Node $node): void
    {
        if ($class === null || $class->getName() === stdClass::class || $class->{$has}($name)) {
            return;
        }
        if ($magic === '' || ! $class->hasMethod($magic)) {
            $this->report($node, "{$class->getName()} has no {$name}");
        }
    }

    private function checkCall(?ReflectionClass $class, $name, Expr $call): void
    {
        if ($class === null || $name instanceof Expr) {
            return;
        }
        $name = (string) $name;
        if (! $class->hasMethod($name)) {
            $magic = $call instanceof Expr\StaticCall ? '__callStatic' : '__call';
            if ($name !== '__construct' && ! $class->hasMethod($magic) && ! $class->hasMethod('__call')) {
                $this->report($call, "{$class->getName()} has no {$name}()");
            }

            return;
        }
        $method = $class->getMethod($name);
        $names = array_map(static fn (ReflectionParameter $one): string => $one->getName(), $method->getParameters());
        $count = 0;
        foreach ($call->args as $argument) {
            if (! $argument instanceof Node\Arg || $argument->unpack) {
                return;
            }
            $count++;
            if ($argument->name !== null && ! in_array((string) $argument->name, $names, true)) {
                $this->report($call, "{$class->getName()}::{$name}() has no parameter \${$argument->name}");
            }
        }
        $tooMany = $count > $method->getNumberOfParameters() && ! $method->isVariadic() && ! $method->isInternal();
        if ($tooMany || $count < $method->getNumberOfRequiredParameters()) {
            $this->report($call, "{$class->getName()}::{$name}() does not take {$count} arguments");
        }
    }

    private function typeOf(Node $node): ?ReflectionClass
    {
        if ($node instanceof Expr\Variable && is_string($node->name)) {
            $around = end($this->classes) ?: null;

            return $node->name === 'this' ? $around : self::reflect(end($this->scopes)[$node->name] ?? null);
        }
        if ($node instanceof Expr\New_ && $node->class instanceof Node\Name) {
            return $this->named($node->class);
        }
        if ($node instanceof Expr\PropertyFetch && $node->name instanceof Node\Identifier) {
            $class = $this->typeOf($node->var);
            $known = $class !== null && $class->hasProperty((string) $node->name);

            return $known ? self::ofType($class->getProperty((string) $node->name)->getType(), $class) : null;
        }
        $class = match (true) {
            $node instanceof Expr\MethodCall => $this->typeOf($node->var),
            $node instanceof Expr\StaticCall && $node->class instanceof Node\Name => $this->named($node->class),
            default => null,
        };
        if ($class === null || ! $node->name instanceof Node\Identifier || ! $class->hasMethod((string) $node->name)) {
            return null;
        }

        return self::ofType($class->getMethod((string) $node->name)->getReturnType(), $class);
    }

    /** @return array<string, string> */
    private function scope(Node\FunctionLike $function): array
    {
        // An arrow function sees what stands around it.
        $scope = $function instanceof Expr\ArrowFunction ? (end($this->scopes) ?: []) : [];
        foreach ($function instanceof Expr\Closure ? $function->uses : [] as $use) {
            $scope[$use->var->name] = end($this->scopes)[$use->var->name] ?? '';
        }
        foreach ($function->getParams() as $parameter) {
            $type = $parameter->variadic ? null : $parameter->type;
            $scope[$parameter->var->name] = $type instanceof Node\Name\FullyQualified ? $type->toString() : '';
        }
        // One that is assigned to may be something else then.
        $assigned = (new PhpParser\NodeFinder())->findInstanceOf($function->getStmts() ?? [], Expr\Assign::class);
        foreach ($assigned as $assignment) {
            unset($scope[$assignment->var instanceof Expr\Variable ? (string) $assignment->var->name : '']);
        }

        return array_filter($scope);
    }

    private function named(Node\Name $name): ?ReflectionClass
    {
        $around = end($this->classes) ?: null;

        return match (strtolower($name->toString())) {
            'self', 'static' => $around,
            'parent' => $around === null ? null : ($around->getParentClass() ?: null),
            default => self::reflect($name->toString()),
        };
    }

    private static function ofType(?ReflectionType $type, ReflectionClass $class): ?ReflectionClass
    {
        if (! $type instanceof ReflectionNamedType || $type->isBuiltin()) {
            return $type instanceof ReflectionNamedType && $type->getName() === 'static' ? $class : null;
        }

        return $type->getName() === 'self' ? $class : self::reflect($type->getName());
    }

    private static function reflect(?string $name): ?ReflectionClass
    {
        $exists = $name !== null && (class_exists($name) || interface_exists($name) || trait_exists($name));

        return $exists ? new ReflectionClass($name) : null;
    }

    private function report(Node $node, string $what): void
    {
        if (! str_contains($this->lines[$node->getStartLine() - 1], '@phpstan-ignore-line')) {
            $this->found[] = "{$this->file}:{$node->getStartLine()}: {$what}";
        }
    }
}

$check = new Undefined();
foreach (array_slice($argv, 1) as $file) {
    $check->check($file);
}
echo implode('', array_map(static fn (string $line): string => "{$line}\n", $check->found));
exit($check->found === [] ? 0 : 1);
