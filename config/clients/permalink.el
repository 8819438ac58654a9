;;; permalink.el --- copy or open the permalink of a mail  -*- lexical-binding: t; -*-

;; For Gnus, mu4e and notmuch: `permalink-copy' and `permalink-open' work on the
;; message at point.

;;; Code:

(require 'browse-url)
(require 'subr-x)

(defvar permalink-command (list "permalink" "url" "--config" (expand-file-name "~/.config/permalinks.toml") "-")
  "The command that prints the permalinks of the message that it reads, a line each.")

(declare-function gnus-summary-select-article "gnus-sum")
(declare-function mu4e-message-at-point "mu4e-message")
(declare-function mu4e-message-field "mu4e-message")
(declare-function notmuch-show-get-message-id "notmuch-show")
(defvar gnus-original-article-buffer)
(defvar notmuch-command)

(defun permalink--insert-source ()
  "Insert the source of the message at point into the buffer *permalink*."
  (cond
   ((derived-mode-p 'mu4e-view-mode 'mu4e-headers-mode) ; before Gnus' modes, of which they are made
    (let ((file (mu4e-message-field (mu4e-message-at-point) :path)))
      (with-current-buffer "*permalink*" (insert-file-contents-literally file))))
   ((derived-mode-p 'notmuch-show-mode)
    (let ((id (notmuch-show-get-message-id)))
      (with-current-buffer "*permalink*"
        (call-process notmuch-command nil t nil "show" "--format=raw" id))))
   ((derived-mode-p 'gnus-summary-mode 'gnus-article-mode)
    (when (derived-mode-p 'gnus-summary-mode) (gnus-summary-select-article))
    (let ((source (with-current-buffer gnus-original-article-buffer
                    (encode-coding-string (buffer-string) 'raw-text-unix))))
      (with-current-buffer "*permalink*" (insert source))))
   (t (user-error "There is no message at point"))))

(defun permalink--of-message ()
  "Return the first permalink of the message at point."
  (with-current-buffer (get-buffer-create "*permalink*")
    (erase-buffer)
    (set-buffer-multibyte nil))
  (permalink--insert-source)
  (with-current-buffer "*permalink*"
    (let* ((coding-system-for-write 'no-conversion)
           (status (apply #'call-process-region nil nil (car permalink-command) t t nil (cdr permalink-command)))
           (said (string-trim (buffer-string))))
      (if (eq status 0) (car (split-string said "\n")) (user-error "%s" said)))))

(defun permalink-copy ()
  "Copy the permalink of the message at point."
  (interactive)
  (let ((url (permalink--of-message)))
    (kill-new url)
    (message "%s" url)))

(defun permalink-open ()
  "Open the permalink of the message at point in the browser."
  (interactive)
  (browse-url (permalink--of-message)))

(provide 'permalink)
;;; permalink.el ends here
