import { useEffect, useRef, useState } from "react";

interface ConfirmProps {
  label: string;
  /** Asked one after the other. */
  questions: readonly string[];
  yes: string;
  onYes: () => void;
  disabled?: boolean;
  testId: string;
}

/** A button that asks before it does something that cannot be taken back. */
export function Confirm({ label, questions, yes, onYes, disabled = false, testId }: ConfirmProps) {
  const [step, setStep] = useState(-1);
  const no = useRef<HTMLButtonElement>(null);
  const question = questions[step];
  // Who presses Enter twice by mistake keeps everything.
  useEffect(() => no.current?.focus(), [step]);
  if (question === undefined) {
    return (
      <button type="button" className="danger" disabled={disabled} data-testid={testId} onClick={() => setStep(0)}>
        {label}
      </button>
    );
  }
  const go = (): void => {
    if (step + 1 < questions.length) return setStep(step + 1);
    setStep(-1);
    onYes();
  };
  return (
    <span className="confirm" role="group" aria-label={label} onKeyDown={(event) => event.key === "Escape" && setStep(-1)}>
      <span role="alert">{question}</span>
      <button type="button" ref={no} onClick={() => setStep(-1)}>
        No
      </button>
      <button type="button" className="danger" data-testid={`${testId}-yes`} onClick={go}>
        {yes}
      </button>
    </span>
  );
}
